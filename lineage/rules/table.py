"""Every rule by the kind of record that must keep it, in words: docs/concepts/rules.md shows it."""

from collections.abc import Callable, Iterator, Mapping

from lineage.artifacts import Artifact, Release, Student, parse_manifest
from lineage.records.record import Derivation
from lineage.rules import audit, measured, others, plan, release, student
from lineage.rules.evidence import Breach, Evidence

RULES: Mapping[str, Mapping[str, str]] = {
    "release": release.RULES,
    "student": student.RULES,
    "plan": plan.RULES,
    "gate": others.GATE,
    "approval": others.APPROVAL,
    "waiver": others.WAIVER,
    "scorecard": measured.RULES,
    "audit": audit.AUDIT,
    "surgery": audit.SURGERY,
    "remedy": others.REMEDY,
    "gate_outcome": others.OUTCOME,
}
"""Kind of record -> code of the rule -> what must hold."""

_BY_RECORD: Mapping[str, Callable[[Evidence, Derivation], Iterator[Breach]]] = {
    "gate": others.check_gate,
    "approval": others.check_approval,
    "review": others.check_approval,
    "scorecard": measured.check_scorecard,
    "audit": audit.check_audit,
    "surgery": audit.check_ledger,
    "remedy": others.check_remedy,
    "gate_outcome": others.check_outcome,
}


def check(evidence: Evidence, made: Derivation, output: str) -> Iterator[Breach]:
    """Yield the rules of its kind that a record with its output (a digest) does not keep.

    Raises:
        LineageError: if a record cannot be read, or its output is not of its kind.
    """
    if made.kind == "release":
        manifest = parse_manifest(evidence.bytes(output), Release)
        yield from release.check_release(evidence, made, manifest)
    elif made.kind == "student":
        published = parse_manifest(evidence.bytes(output), Student)
        yield from student.check_student(evidence, made, published)
    elif made.kind == "plan":
        stored = Artifact(kind="plan", digest=output, record=made.digest())
        yield from plan.check_plan(evidence, stored)
    elif made.kind in _BY_RECORD:
        yield from _BY_RECORD[made.kind](evidence, made)


def table() -> str:
    """Return all rules as a Markdown table."""
    rows = [
        f"| {kind} | `{code}` | {text} |"
        for kind, rules in RULES.items()
        for code, text in rules.items()
    ]
    return "\n".join(["| kind | rule | what must hold |", "|---|---|---|", *rows]) + "\n"
