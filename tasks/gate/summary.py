"""A plan behind the gate in a few lines: what a person approves."""

from collections.abc import Iterator

from lineage.plain import plain
from tasks.gate.forecast import Forecast
from tasks.handover import Gated, ReleaseConditions, TeacherVerdict


def summary_of(gated: Gated, cost: Forecast, conditions: ReleaseConditions) -> str:
    """Return who is merged, what the gate found of each, findings, cost, release conditions."""
    return "\n".join(map(plain, _lines(gated, cost, conditions)))


def _lines(gated: Gated, cost: Forecast, conditions: ReleaseConditions) -> Iterator[str]:
    plan = gated.plan
    references = {teacher.name: teacher.reference for teacher in plan.teachers}
    yield f"Merge {len(plan.teachers)} teachers into one student."
    for verdict in gated.teachers:
        reference = references.get(verdict.name, f"{verdict.name} (left out)")
        yield f"{reference}: {verdict.verdict.value}{_expected(verdict)}{_cure(verdict)}"
    counts = [
        f"{sum(note.severity == severity for note in plan.notes)} {severity}s"
        for severity in ("refusal", "warning")
    ]
    codes = sorted({note.code for note in plan.notes if note.severity != "note"})
    named = f" ({', '.join(codes)})" if codes else ""
    yield f"Findings: {', '.join(counts)}{named}."
    yield f"Waivers: {len(plan.waivers) or 'none'}."
    yield f"Cost: {dict(cost.lines())['time']}."
    yield f"Released with {conditions.words()}."
    if plan.artifact is not None:
        yield f"Plan: {plan.artifact.digest}"


def _expected(verdict: TeacherVerdict) -> str:
    if verdict.predicted is None:
        return ", not measured"
    return (
        f", expected to pass on {verdict.predicted:.2f} of its gain "
        f"({verdict.low:.2f} to {verdict.high:.2f})"
    )


def _cure(verdict: TeacherVerdict) -> str:
    return f"; remedy: {verdict.done.value}" if verdict.done.value != "none" else ""
