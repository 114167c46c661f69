"""Repeats a student's round on the rollouts in its ledger, to recover missing displacements.

The result is approximate, because the ledger keeps a sample of the rollouts. The unexplained rest
of a segment's change is a part of its own, without a source. No new rollouts are sampled. It runs
in one process, so the student must fit on one device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue
from torch import Tensor, nn

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from tasks.contracts.refusal import RefusedError
from tasks.ledger.reader import Ledger
from tasks.ledger.schema import ledger_derivation
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy, load_model, load_policy
from tasks.model.lora import adapter_weights, load_adapter
from tasks.mopd.counterfactual.retrain import student_round
from tasks.mopd.objective import Distillation
from tasks.mopd.round_form import RecomputeSpec
from tasks.mopd.round_models import RoundModels, inputs_of, round_models
from tasks.mopd.trainer import RoundSpec, open_objective
from tasks.onpolicy.kept_rollouts import KeptRollouts, UncorrectedRollouts, recompute_settings
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.recompute import (
    RecomputedLedger,
    recompute_displacements,
    recompute_without,
    segment_boundaries,
    set_weights,
)
from tasks.onpolicy.student_files import ADAPTER, save_student
from tasks.platform.measurements import Measurements
from tasks.platform.progress import format_seconds, report
from tasks.platform.provenance import source_digest
from tasks.platform.ranks import rank_device
from tasks.platform.resources import use_configured_threads
from tasks.platform.resume import Part, States
from tasks.platform.step_runner import StepRunner


def plan_replay(runner: StepRunner, student: str, *, wanted: bool) -> list[RecomputeSpec]:
    """Return the replay of a student's round if it is wanted and the ledger has no displacements.

    Raises:
        LineageError: for a reference that names nothing.
        ValueError: for a student that no plan is known of, or that has no ledger.
    """
    if not wanted:
        return []
    spec, seconds = recompute_spec(runner, student)
    if Ledger.open(runner.store.tree(spec.ledger.digest)).manifest.segments:
        return []
    took = f"; the round took {format_seconds(seconds)}" if seconds else ""
    report("replay", 0, 0, message=f"of the kept rollouts, less than the round itself{took}")
    return [spec]


def recompute_spec(runner: StepRunner, student: str) -> tuple[RecomputeSpec, float]:
    """Return the specification of a replay, and the round's duration in seconds (0: unknown).

    Raises:
        LineageError: for a reference that names nothing.
        ValueError: for a student that no plan is known of, or that has no ledger.
    """
    own = student_round(runner, student)
    record = ledger_derivation(own.derivation).digest()
    stored = runner.records.output(record)
    if stored is None:
        raise RefusedError(
            "no-ledger", f"{student!r} has no ledger in this store, so nothing can be replayed"
        )
    ledger = Artifact(kind="ledger", digest=stored.output, record=record, uri=runner.store.uri)
    spec = RecomputeSpec(
        plan=own.plan,
        settings=own.settings,
        seed=own.seed,
        student=own.student,
        ledger=ledger,
    )
    return spec, own.seconds


def replay_round(runner: StepRunner, spec: RecomputeSpec) -> Artifact:
    """Return a ledger with replayed displacements: the recorded one, or a new one.

    Raises:
        ValueError: for a ledger that kept no rollouts, or no weights to begin segments with.
    """
    models = round_models(runner.store, spec.plan, spec.settings)
    derivation = derivation_again(runner.project, spec, models, "replay", "replayed")

    def make(folder: Path, measurements: Measurements) -> Path:
        opened = reopen(runner, spec, models, record=True)
        ledger = opened.ledger
        # The last of the kept weights may be stored in half precision; the student is exact.
        *kept_weights, _ = segment_boundaries(ledger, opened.start)
        last = _trained_end(runner, spec)
        distil = spec.settings.distil
        kept = KeptRollouts(opened.objective, ledger, distil.masked, distil.outcome_weight)
        written = RecomputedLedger(ledger, folder / "ledger")
        parts: dict[str, Part] = {"learner": opened.learner, "ledger": written}
        states = States(runner.store, derivation.digest(), parts)
        done = states.restore()
        walk = recompute_displacements(
            ledger, [*kept_weights, last], opened.learner, kept, after=done
        )
        for segment in walk:
            written.add(segment)
            states.save_if_due(segment.segment.last_step)
        written.finish()
        return folder / "ledger"

    return runner.find_or_make(derivation, "ledger", make, owner="consolidation")


def _trained_end(runner: StepRunner, spec: RecomputeSpec) -> dict[str, Tensor]:
    """Return the trained weights of the student: all of them, or its adapters."""
    folder = runner.store.tree(spec.student.digest)
    if spec.settings.loop.adapter is None:
        return {n: p.detach().float() for n, p in load_model(folder).named_parameters()}
    model = load_model(runner.store.tree(spec.plan.student.digest))
    load_adapter(model, folder / ADAPTER)
    return {name: tensor.float() for name, tensor in adapter_weights(model).items()}


def derivation_again(
    project: str,
    spec: RecomputeSpec,
    models: RoundModels,
    kind: str,
    role: str,
    **settings: JsonValue,
) -> Derivation:
    """Return the derivation of a result that is computed from a student's kept rollouts.

    Args:
        project: Project that owns the record.
        spec: The student's round.
        models: The models of that round.
        kind: Kind of the record.
        role: Role of the student among the inputs.
        settings: Settings beside those of the round.
    """
    return Derivation(
        project=project,
        kind=kind,
        inputs=(
            *inputs_of(models, spec.settings),
            Input.of(role, spec.student),
            Input.of("ledger", spec.ledger),
        ),
        source=source_digest("mopd"),
        settings=spec.settings.model_dump(mode="json") | settings,
        seed=spec.seed,
    )


@dataclass(frozen=True)
class Reopened:
    """A round that is ready to train again on its kept rollouts."""

    ledger: Ledger
    policy: Policy
    """Model on this process's device; the learner updates it in place."""
    start: dict[str, Tensor]
    """The initial weights of the round."""
    objective: Distillation
    learner: Learner


def reopen(
    runner: StepRunner, spec: RecomputeSpec, models: RoundModels, *, record: bool
) -> Reopened:
    """Open a round's ledger, teachers and initial weights; with ``record``, updates are summed."""
    use_configured_threads()
    policy = load_policy(runner.store.tree(spec.plan.student.digest))
    chat = ChatTokens(policy.tokenizer)
    nn.Module.to(policy.model, rank_device())
    settings = spec.settings
    labels = {(teacher.domain, teacher.mode or "") for teacher in spec.plan.teachers}
    own = RoundSpec(models, settings, spec.seed)
    objective = open_objective(runner, own, policy, chat.control_ids, labels)
    learner = Learner(
        policy.model,
        recompute_settings(settings.loop),
        settings.sampling.temperature,
        chat.pad_id,
        objective.sources,
        record=record,
    )
    ledger = Ledger.open(runner.store.tree(spec.ledger.digest))
    start = {name: master.clone() for name, master in learner.optimizer.masters().items()}
    return Reopened(ledger, policy, start, objective, learner)


def rehearse_round(runner: StepRunner, student: str, without: Sequence[str]) -> Artifact:
    """Return a student trained without some of its teachers, as a recorded checkpoint.

    Args:
        runner: Runs and records the step.
        student: A reference to a published student with a ledger that kept rollouts.
        without: Teachers to leave out; teachers that were masked in the student itself stay masked.

    Raises:
        LineageError: for a reference that names nothing.
        ValueError: for a student without a known plan or without a ledger; for names that are not
            its teachers, or name all of them.
    """
    spec, seconds = recompute_spec(runner, student)
    settings = spec.settings
    absent = sorted({*settings.distil.masked, *without})
    _check_absent(absent, without, [teacher.name for teacher in spec.plan.teachers])
    models = round_models(runner.store, spec.plan, settings)
    derivation = derivation_again(
        runner.project, spec, models, "rehearsal", "rehearsed", without=list(absent)
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        took = f"; the round took {format_seconds(seconds)}" if seconds else ""
        report("rehearse", 0, 0, message=f"without {' and '.join(absent)}{took}")
        opened = reopen(runner, spec, models, record=False)
        weight = settings.distil.outcome_weight
        ends = recompute_without(
            opened.learner, UncorrectedRollouts(opened.objective, opened.ledger, absent, weight)
        )
        set_weights(opened.learner, ends)
        return save_student(opened.learner, opened.policy.tokenizer, folder / "model")

    return runner.find_or_make(derivation, "checkpoint", make, owner="consolidation")


def _check_absent(absent: Sequence[str], without: Sequence[str], teachers: Sequence[str]) -> None:
    unknown = sorted(set(without) - set(teachers))
    if unknown:
        raise RefusedError(
            "unknown-teacher",
            f"{unknown} cannot be left out: the teachers of this student are {list(teachers)}",
        )
    if not without:
        raise RefusedError(
            "nothing-left-out", f"no teacher is left out: name at least one of {list(teachers)}"
        )
    if len(absent) == len(teachers):
        raise RefusedError(
            "all-masked",
            f"{absent} are all teachers of this student: leave at least one in. Without any "
            "teacher the student is what it started from",
        )
