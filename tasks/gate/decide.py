"""May a plan be run? Its findings, against the level that was set and the waivers signed."""

from collections.abc import Sequence

from lineage.artifacts import Artifact
from lineage.graph import Lineage
from lineage.trust import open_trust
from lineage.waiver import NEVER_WAIVED, Accepted, read_waiver, waived_plan
from tasks.gate.settings import Level
from tasks.handover import Note, Plan
from tasks.step import Bench

_REFUSED = {Level.REFUSAL: {"refusal"}, Level.WARNING: {"refusal", "warning"}}


class MisfitError(ValueError):
    """Teachers that must not be merged as they are; the message lists every finding."""


def decide(bench: Bench, plan: Plan, refuse_from: Level, waivers: Sequence[str]) -> Plan:
    """Return the plan with its waivers, or refuse it.

    Args:
        bench: Whose store holds the waivers.
        plan: As proposed and stored.
        refuse_from: The least severe finding that counts.
        waivers: Digests of signed waivers of exactly this plan.

    Raises:
        LineageError: for a waiver that does not hold or is of another plan.
        MisfitError: where a finding is left that counts; the message lists each.
    """
    assert plan.artifact is not None
    accepted: set[Accepted] = set()
    held: list[Artifact] = []
    if waivers:
        trust = open_trust()
        for digest in dict.fromkeys(waivers):
            if _is_of_later_plan(bench, digest, plan.artifact):
                continue  # it accepts what the gate will measure, and is asked there
            signed = read_waiver(bench.store, digest, plan.artifact, trust)
            accepted |= set(signed.waiver.findings)
            held.append(signed.artifact)
    left = [note for note in refused(plan, refuse_from) if _as_accepted(note) not in accepted]
    if left:
        raise MisfitError(_refusal(left, plan.artifact))
    return plan.model_copy(update={"waivers": held})


def _is_of_later_plan(bench: Bench, digest: str, plan: Artifact) -> bool:
    """Return whether a waiver names what became of this plan behind the gate."""
    named = waived_plan(bench.store, digest)
    if named == plan.digest:
        return False
    lineage = Lineage(bench.store)
    makers = [r for r in lineage.index.makers(named) if r != plan.record]
    return any(plan.record in lineage.ancestors(record) for record in makers)


def refused(plan: Plan, refuse_from: Level) -> list[Note]:
    """Return the findings for which a plan is refused at a level, waivers left aside."""
    return [note for note in plan.notes if note.severity in _REFUSED[refuse_from]]


def _as_accepted(note: Note) -> Accepted:
    return Accepted(code=note.code, subject=note.subject)


def _refusal(notes: Sequence[Note], plan: Artifact) -> str:
    lines = [
        f"- {note.subject} [{note.code}]: {note.evidence}. What to do: {note.next_step}."
        for note in notes
    ]
    if not any(note.code in NEVER_WAIVED for note in notes):
        lines.append(
            "If you know better, sign that you accept these findings and give the digest that it "
            f"prints to `waivers`: provost waive {plan.digest} --reason '...'"
        )
    return "these teachers cannot be merged as they are; nothing was trained.\n" + "\n".join(lines)
