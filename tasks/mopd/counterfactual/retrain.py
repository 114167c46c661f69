"""Retrains: a student's round repeated with teachers masked and everything else the same."""

import itertools
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from lineage.artifacts import Artifact, Student, parse_manifest
from lineage.graph.graph import checkpoint_named, students_of
from lineage.records.record import Derivation
from tasks.contracts.handover import Plan
from tasks.contracts.refusal import RefusedError
from tasks.ledger.schema import LedgerSettings
from tasks.mopd.round import distil_round, starting_from
from tasks.mopd.round_form import RetrainSpec
from tasks.mopd.settings import RoundSettings
from tasks.platform.progress import format_seconds, report
from tasks.platform.step_runner import StepRunner


def plan_retrains(
    runner: StepRunner, student: str, num_seeds: int, num_subsets: int
) -> list[RetrainSpec]:
    """Return the retrains that measure the effect of leaving each teacher out.

    For each seed: one with all teachers, one without each teacher, and ``num_subsets`` without a
    random set of several teachers. Without seeds the list is empty.

    Raises:
        LineageError: for a reference that names nothing.
        ValueError: for a student without a known plan or with one teacher, or for an impossible
            number of seeds or subsets.
    """
    if num_seeds == 0 and num_subsets == 0:
        return []
    if num_seeds == 0:
        raise RefusedError(
            "subsets-without-seed",
            f"leaving out {num_subsets} subsets of teachers needs a seed: pass `--verify 1` "
            "(verify_seeds) or more as well",
        )
    if num_seeds < 0:
        raise RefusedError(
            "too-few-seeds",
            f"{num_seeds} is not a number of seeds for retrains: pass 1 or more (2 or more give "
            "an interval and a noise floor), or 0 for no retrain",
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
    """Return the student of one retrain: the recorded one, or a new one."""
    masked = " and ".join(spec.settings.distil.masked) or "none"
    message = f"{spec.run_index} of {spec.num_runs}: masked teachers: {masked}, seed {spec.seed}"
    report("retrain", 0, 0, message=message)
    return distil_round(runner, spec.plan, spec.settings, spec.seed)


@dataclass(frozen=True)
class StudentRound:
    """The round that made a student, ready to be run again."""

    student: Artifact
    derivation: Derivation
    plan: Plan
    """The plan, with the student that the round began with."""
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
        LineageError: for a reference that names nothing.
        ValueError: for a student without a known plan.
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
    duration = "as long as the student's own round"
    if seconds:
        whole = format_seconds(count * seconds)
        duration = f"about {format_seconds(seconds)}, like the student's own round, {whole} in all"
    return f"{count} retrains, each {duration}; those that the store already holds take no time"


def _start(runner: StepRunner, derivation: Derivation) -> Artifact:
    """Return the initial checkpoint of the student's last round."""
    [start] = [item for item in derivation.inputs if item.role == "student"]
    return Artifact(
        kind="checkpoint", digest=start.artifact, record=start.record, uri=runner.store.uri
    )


def _masks(teachers: Sequence[str], num_subsets: int, seed: int) -> list[tuple[str, ...]]:
    if len(teachers) < 2:
        raise RefusedError(
            "single-teacher",
            f"this student has one teacher ({list(teachers)}), so there is nothing to retrain "
            "without it: the student would stay what it started from",
        )
    subsets = [
        mask for size in range(2, len(teachers)) for mask in itertools.combinations(teachers, size)
    ]
    if num_subsets > len(subsets):
        raise RefusedError(
            "too-many-subsets",
            f"{num_subsets} subsets are too many: {len(teachers)} teachers have {len(subsets)} "
            "subsets of several teachers. Pass at most that number",
        )
    return [
        *((teacher,) for teacher in teachers),
        *random.Random(seed).sample(subsets, num_subsets),
    ]


def _masked(settings: RoundSettings, mask: tuple[str, ...]) -> RoundSettings:
    """Mask teachers, and turn the ledger off, because a retrain's ledger is never read."""
    distil = settings.distil.model_copy(update={"masked": [*settings.distil.masked, *mask]})
    ledger = LedgerSettings(displacements=False, rollouts_per_teacher=0)
    return settings.model_copy(update={"distil": distil, "ledger": ledger})
