"""A student's round again from the rollouts that its ledger kept, for displacements it never wrote.

They are approximate: the ledger kept a sample, and what that does not explain of a segment's change
is a part of its own, nobody's. Nothing is sampled. One process does it, so that it takes a student
that one device trains.
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue
from torch import Tensor, nn

from lineage.artifacts import Artifact
from lineage.record import Derivation, Input
from tasks.ledger.naming import ledger_derivation
from tasks.ledger.read import Ledger
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy, load_model, load_policy
from tasks.mopd.cast import Cast, cast_of, inputs_of
from tasks.mopd.distil import Distillation
from tasks.mopd.orders import Replay
from tasks.mopd.retrain import round_of
from tasks.mopd.run import Order, open_objective
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.replay import (
    Kept,
    ReplayedLedger,
    boundaries,
    replayed,
    settings_for_replay,
)
from tasks.progress import format_seconds, report
from tasks.provenance import source_digest
from tasks.ranks import rank_device
from tasks.resume import Part, States
from tasks.step import Bench, Measurements
from tasks.threads import use_configured_threads


def plan_replay(bench: Bench, student: str, *, wanted: bool) -> list[Replay]:
    """Return the replay of a student's round where it is wanted and its ledger has no split.

    Raises:
        LineageError: for a reference that nothing answers to.
        ValueError: for a student that no plan is known of, or that has no ledger.
    """
    if not wanted:
        return []
    order, seconds = order_of(bench, student)
    if Ledger.open(bench.store.tree(order.ledger.digest)).manifest.segments:
        return []
    took = f"; the round took {format_seconds(seconds)}" if seconds else ""
    report("replay", 0, 0, message=f"of the kept rollouts, less than the round itself{took}")
    return [order]


def order_of(bench: Bench, student: str) -> tuple[Replay, float]:
    """Return a student's round as it can be replayed, and the seconds that it took (0: unknown).

    Raises:
        LineageError: for a reference that nothing answers to.
        ValueError: for a student that no plan is known of, or that has no ledger.
    """
    made = round_of(bench, student)
    record = ledger_derivation(made.derivation).digest()
    stored = bench.records.output(record)
    if stored is None:
        raise ValueError(f"{student!r} has no ledger in this store, so nothing can be replayed")
    ledger = Artifact(kind="ledger", digest=stored.output, record=record, uri=bench.store.uri)
    order = Replay(
        plan=made.plan,
        settings=made.settings,
        seed=made.seed,
        student=made.student,
        ledger=ledger,
    )
    return order, made.seconds


def replay_round(bench: Bench, order: Replay) -> Artifact:
    """Return a ledger with replayed displacements; found, or else made, from its last state.

    Raises:
        ValueError: for a ledger that kept no rollouts, or no weights to begin segments with.
    """
    cast = cast_of(bench.store, order.plan, order.settings)
    derivation = derivation_again(bench.project, order, cast, "replay", "replayed")

    def make(folder: Path, measurements: Measurements) -> Path:
        again = reopen(bench, order, cast, record=True)
        ledger = again.ledger
        end = load_model(bench.store.tree(order.student.digest))
        # The last of the kept weights may be stored in half precision; the student is exact.
        *kept_weights, _ = boundaries(ledger, again.start)
        last = {name: p.detach().float() for name, p in end.named_parameters()}
        distil = order.settings.distil
        kept = Kept(again.objective, ledger, distil.masked, distil.outcome_weight)
        written = ReplayedLedger(ledger, folder / "ledger")
        parts: dict[str, Part] = {"learner": again.learner, "ledger": written}
        states = States(bench.store, derivation.digest(), parts)
        done = states.restore()
        walk = replayed(ledger, [*kept_weights, last], again.learner, kept, after=done)
        for found in walk:
            written.add(found)
            states.save_if_due(found.segment.last_step)
        written.finish()
        return folder / "ledger"

    return bench.find_or_make(derivation, "ledger", make, owner="consolidation")


def derivation_again(
    project: str, order: Replay, cast: Cast, kind: str, role: str, **settings: JsonValue
) -> Derivation:
    """Return how something is made of a student's kept rollouts.

    Args:
        project: Whose record it is.
        order: The student's round.
        cast: Of that round.
        kind: Of the step.
        role: The student's, in it.
        settings: Beside the round's.
    """
    return Derivation(
        project=project,
        kind=kind,
        inputs=(
            *inputs_of(cast, order.settings),
            Input(role=role, artifact=order.student.digest, record=order.student.record),
            Input(role="ledger", artifact=order.ledger.digest, record=order.ledger.record),
        ),
        source=source_digest("mopd"),
        settings=order.settings.model_dump(mode="json") | settings,
        seed=order.seed,
    )


@dataclass(frozen=True)
class Reopened:
    """A round that is ready to learn from its kept rollouts again."""

    ledger: Ledger
    policy: Policy
    """On this process's device; the learner changes it in place."""
    start: dict[str, Tensor]
    """The weights that the round began with."""
    objective: Distillation
    learner: Learner


def reopen(bench: Bench, order: Replay, cast: Cast, *, record: bool) -> Reopened:
    """Open a round's ledger, teachers and first weights; with ``record``, updates are summed."""
    use_configured_threads()
    policy = load_policy(bench.store.tree(order.plan.student.digest))
    start = {name: p.detach().clone() for name, p in policy.model.named_parameters()}
    chat = ChatTokens(policy.tokenizer)
    nn.Module.to(policy.model, rank_device())
    settings = order.settings
    labels = {(teacher.domain, teacher.mode or "") for teacher in order.plan.teachers}
    own = Order(cast, settings, order.seed)
    objective = open_objective(bench, own, policy, chat.control_ids, labels)
    learner = Learner(
        policy.model,
        settings_for_replay(settings.loop),
        settings.sampling.temperature,
        chat.pad_id,
        objective.sources,
        record=record,
    )
    ledger = Ledger.open(bench.store.tree(order.ledger.digest))
    return Reopened(ledger, policy, start, objective, learner)
