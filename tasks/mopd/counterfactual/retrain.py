"""A student's round again, with teachers masked and all else the same: the measured absence."""

import itertools
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from lineage.artifacts import Artifact, Student, parse_manifest
from lineage.named import checkpoint_named, students_of
from lineage.record import Derivation
from tasks.handover import Plan
from tasks.ledger.schema import LedgerSettings
from tasks.mopd.round import distil_round, starting_from
from tasks.mopd.round_form import RetrainSpec
from tasks.mopd.settings import RoundSettings
from tasks.progress import format_seconds, report
from tasks.refusal import RefusedError
from tasks.step_runner import StepRunner


def plan_retrains(
    runner: StepRunner, student: str, num_seeds: int, num_subsets: int
) -> list[RetrainSpec]:
    """Return the retrains that say what each teacher's absence would have done.

    For each seed one with nobody masked, one without each teacher, and ``num_subsets`` without a
    random set of several. No seed gives no retrain.

    Raises:
        LineageError: for a reference that nothing answers to.
        ValueError: for a student that no plan is known of, that has one teacher, or for more
            seeds or subsets than there can be.
    """
    if num_seeds == 0 and num_subsets == 0:
        return []
    if num_seeds == 0:
        raise RefusedError(
            "subsets-without-seed",
            f"{num_subsets} subsets of teachers are to be left out, but with no seed: pass "
            "`--verify 1` (verify_seeds) or more beside them",
        )
    if num_seeds < 0:
        raise RefusedError(
            "too-few-seeds",
            f"{num_seeds} seeds for the retrains: pass 1 or more (2 or more give an interval and a "
            "noise floor), or 0 for no retrain",
        )
    own = student_round(runner, student)
    settings = own.settings
    # What was masked in the student itself stays so in every retrain.
    teachers = [t.name for t in own.plan.teachers if t.name not in settings.distil.masked]
    masks = [(), *_masks(teachers, num_subsets, own.seed)]
    runs = [(own.seed + offset, mask) for offset in range(num_seeds) for mask in masks]
    report("retrain", 0, 0, message=_cost(len(runs), own.seconds))
    return [
        RetrainSpec(
            plan=own.plan,
            settings=_masked(settings, mask),
            seed=seed,
            run_index=run_index,
            num_runs=len(runs),
        )
        for run_index, (seed, mask) in enumerate(runs, start=1)
    ]


def retrain(runner: StepRunner, spec: RetrainSpec) -> Artifact:
    """Return the student of one retrain; found, or else made."""
    masked = " and ".join(spec.settings.distil.masked) or "none"
    message = f"{spec.run_index} of {spec.num_runs}: masked teachers: {masked}, seed {spec.seed}"
    report("retrain", 0, 0, message=message)
    return distil_round(runner, spec.plan, spec.settings, spec.seed)


@dataclass(frozen=True)
class StudentRound:
    """The round that made a student, as it can be run again."""

    student: Artifact
    derivation: Derivation
    plan: Plan
    """Begins with what the round began with."""
    settings: RoundSettings
    seconds: float
    """Its duration; 0 if the record does not give it."""

    @property
    def seed(self) -> int:
        """The seed of the round."""
        return self.derivation.seed


def student_round(runner: StepRunner, student: str) -> StudentRound:
    """Return the round that made a student.

    Raises:
        LineageError: for a reference that nothing answers to.
        ValueError: for a student that no plan is known of.
    """
    checkpoint = checkpoint_named(runner.store, student)
    published = students_of(runner.store, checkpoint)
    if not published:
        raise RefusedError(
            "never-published",
            f"{student!r} was never published, so its plan (environments, prompts, releases) is "
            "not known and its round cannot be run again: name a published student",
        )
    manifest = parse_manifest(runner.store.get_bytes(published[0].digest), Student)
    derivation = runner.records.read(checkpoint.record)
    whole = Plan.model_validate(json.loads(runner.store.get_bytes(manifest.plan)))
    attested = runner.records.output(checkpoint.record)
    return StudentRound(
        student=checkpoint,
        derivation=derivation,
        plan=starting_from(whole, _start(runner, derivation)),
        settings=RoundSettings.model_validate(derivation.settings),
        seconds=attested.seconds if attested else 0.0,
    )


def _cost(count: int, seconds: float) -> str:
    duration = f"about {format_seconds(seconds)}" if seconds else "as long"
    whole = f", about {format_seconds(count * seconds)} in all" if seconds else ""
    return (
        f"{count} rounds as the student's own, each {duration} as that took then{whole}; those "
        "that the store holds already take no time"
    )


def _start(runner: StepRunner, derivation: Derivation) -> Artifact:
    """Return what the student's own round began with; the last of several began with a student."""
    [start] = [item for item in derivation.inputs if item.role == "student"]
    return Artifact(
        kind="checkpoint", digest=start.artifact, record=start.record, uri=runner.store.uri
    )


def _masks(teachers: Sequence[str], num_subsets: int, seed: int) -> list[tuple[str, ...]]:
    if len(teachers) < 2:
        raise RefusedError(
            "single-teacher",
            f"this student has one teacher ({list(teachers)}): without it nothing is left to learn "
            "from, and what it started from answers for its absence",
        )
    subsets = [
        mask for size in range(2, len(teachers)) for mask in itertools.combinations(teachers, size)
    ]
    if num_subsets > len(subsets):
        raise RefusedError(
            "too-many-subsets",
            f"{num_subsets} subsets of several masked teachers are asked for, but {len(teachers)} "
            f"teachers have {len(subsets)}: ask for so many at most",
        )
    return [
        *((teacher,) for teacher in teachers),
        *random.Random(seed).sample(subsets, num_subsets),
    ]


def _masked(settings: RoundSettings, mask: tuple[str, ...]) -> RoundSettings:
    """Mask teachers; a retrain's own ledger would be read by nobody."""
    distil = settings.distil.model_copy(update={"masked": [*settings.distil.masked, *mask]})
    ledger = LedgerSettings(displacements=False, rollouts_per_teacher=0)
    return settings.model_copy(update={"distil": distil, "ledger": ledger})
