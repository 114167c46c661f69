"""Rules of an audit and a surgery: one student, its own ledger, and its own round rerun."""

from collections.abc import Iterator

from pydantic import JsonValue

from lineage.frozen import respelled_deep
from lineage.records.record import Derivation, Input
from lineage.rules.evidence import Breach, Evidence, artifact_of, same, taken

AUDIT = {
    "ledger": "The ledger is that of the student's own round, or a replay of it by the student's "
    "project or the audit's.",
    "retrains": "Each retrain is the student's own round run again, by its project or the "
    "audit's: other than it only in the teachers that were masked, in the seed, and in what its "
    "ledger keeps.",
}
SURGERY = {"ledger": AUDIT["ledger"]}


def check_audit(evidence: Evidence, made: Derivation) -> Iterator[Breach]:
    """Yield a breach for each part of an audit that belongs to another student.

    Raises:
        LineageError: for a record that cannot be read.
    """
    yield from check_ledger(evidence, made)
    for student in taken(made, "student")[:1]:
        own = evidence.made(student.record)
        for item in taken(made, "retrain"):
            again = evidence.made(item.record) if item.record else None
            if again is None or not _is_again(again, own) or not _may_vouch(again, own, made):
                yield Breach(
                    "retrains",
                    f"{item.artifact} ({item.name}) is of another round than the student",
                )


def check_ledger(evidence: Evidence, made: Derivation) -> Iterator[Breach]:
    """Yield a breach if something was computed from another student's ledger."""
    students, ledgers = taken(made, "student"), taken(made, "ledger")
    if len(students) != 1 or len(ledgers) != 1 or not students[0].record:
        yield Breach("ledger", f"it is of {len(students)} students and {len(ledgers)} ledgers")
        return
    own = evidence.made(students[0].record)
    ledger = ledgers[0]
    if ledger.record == _ledger_of(own):
        return
    if _is_replay(evidence, ledger, own, students[0]) and _may_vouch(
        evidence.made(ledger.record), own, made
    ):
        return
    yield Breach("ledger", f"the ledger {ledger.artifact} is not that of the student's round")


def _may_vouch(again: Derivation, own: Derivation, made: Derivation) -> bool:
    """Say whether the project that trained the student, or that audits it, ran a round again."""
    return again.project in {own.project, made.project, ""}


def _ledger_of(own: Derivation) -> str:
    """Return the record of the ledger that a round wrote beside its student."""
    return own.model_copy(update={"kind": "ledger"}).digest()


def _is_replay(evidence: Evidence, ledger: Input, own: Derivation, student: Input) -> bool:
    made = evidence.made(ledger.record) if ledger.record else None
    if made is None or made.kind != "replay":
        return False
    added = {"replayed", "ledger"}
    rest = tuple(item for item in made.inputs if item.role not in added)
    return (
        (rest, made.seed) == (own.inputs, own.seed)
        and _has(made.settings, own.settings)
        and [item.record for item in taken(made, "ledger")] == [_ledger_of(own)]
        and any(same(item, artifact_of(student)) for item in taken(made, "replayed"))
    )


def _is_again(again: Derivation, own: Derivation) -> bool:
    """Say whether a round is the student's own, with other teachers masked or another seed."""
    same_kind = (again.kind, again.inputs) == (own.kind, own.inputs)
    return same_kind and _has(_unmasked(again), _unmasked(own))


def _unmasked(made: Derivation) -> dict[str, JsonValue]:
    """Return a round's settings without what may differ between a student and its retrain."""
    settings = {name: value for name, value in made.settings.items() if name != "ledger"}
    distil = settings.get("distil")
    if isinstance(distil, dict):
        settings["distil"] = {name: v for name, v in distil.items() if name != "masked"}
    return settings


def _has(settings: JsonValue, known: JsonValue) -> bool:
    """Say whether settings agree with ``known``; a later version may record more of them."""
    settings, known = respelled_deep(settings), respelled_deep(known)
    if isinstance(known, dict):
        return isinstance(settings, dict) and all(
            name in settings and _has(settings[name], value) for name, value in known.items()
        )
    return settings == known
