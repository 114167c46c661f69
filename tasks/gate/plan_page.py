"""The plan as text and page: teachers, findings and cost."""

from collections.abc import Iterator, Sequence

from lineage.compatibility.checks import Finding
from lineage.errors import plain
from tasks.contracts.conditions import ReleaseConditions
from tasks.contracts.handover import (
    Gated,
    Plan,
    PlannedTeacher,
    Remedy,
    TeacherVerdict,
)
from tasks.gate.forecast import Forecast
from tasks.reports.rendering import render

_SHORT = 19


def plan_text(plan: Plan, forecast: Forecast, conditions: ReleaseConditions) -> str:
    """Return the plan as lines of plain text."""
    assert plan.artifact is not None
    lines = [f"plan {plan.artifact.digest}", f"  student starts from {plan.student.digest}"]
    for teacher in plan.teachers:
        lines.append(
            f"  teacher {teacher.name}: {teacher.reference} of {teacher.owner}, {_share(teacher)}, "
            f"{len(teacher.ladder)} rungs, {teacher.checkpoint.digest[:_SHORT]}"
        )
    lines += [
        f"  {note.severity} {note.subject} [{note.code}]: {note.evidence}" for note in plan.notes
    ]
    lines += [f"  {name}: {value}" for name, value in forecast.lines()]
    lines.append(f"  released with {conditions.words()}")
    return "\n".join(map(plain, lines))


def plan_page(plan: Plan, forecast: Forecast, conditions: ReleaseConditions) -> str:
    """Return the plan as a page, for the Deck that is shown at the approval."""
    assert plan.artifact is not None
    return render(
        "plan.html.j2",
        title="Plan of a consolidation",
        headline=_headline(plan),
        verdict=_verdict(plan.notes),
        plan=plan,
        teachers=[(teacher, _share(teacher)) for teacher in plan.teachers],
        findings=_alike(plan.notes),
        cost=forecast.lines(),
        release=conditions.words(),
    )


def _headline(plan: Plan) -> str:
    names = ", ".join(teacher.reference.removeprefix("teacher.") for teacher in plan.teachers)
    return f"{names} into one student"


def _verdict(notes: Sequence[Finding]) -> str:
    counts = {
        severity: sum(note.severity == severity for note in notes)
        for severity in ("refusal", "warning", "note")
    }
    if not notes:
        return "The records show no problem."
    counted = ", ".join(
        f"{count} {name}{'s' * (count > 1)}" for name, count in counts.items() if count
    )
    return f"Findings from the records: {counted}."


def _share(teacher: PlannedTeacher) -> str:
    who = "the student itself teaches " if teacher.is_self else ""
    return f"{who}{teacher.share:.0%} of {teacher.domain}"


def _alike(notes: Sequence[Finding]) -> list[list[Finding]]:
    """Group findings with the same severity, code and next step."""
    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for note in notes:
        alike.setdefault((note.severity, note.code, note.next_step), []).append(note)
    return list(alike.values())


def summary_of(gated: Gated, cost: Forecast, conditions: ReleaseConditions) -> str:
    """Return a summary: teachers, the gate's verdicts, findings, cost, release conditions."""
    return "\n".join(map(plain, _lines(gated, cost, conditions)))


def _lines(gated: Gated, cost: Forecast, conditions: ReleaseConditions) -> Iterator[str]:
    plan = gated.plan
    yield f"Merge {len(plan.teachers)} teachers into one student."
    yield from _findings_lines(gated)
    yield f"Waivers: {len(plan.waivers) or 'none'}."
    yield f"Cost: {dict(cost.lines())['time']}{_warm_up(gated)}."
    yield f"Released with {conditions.words()}."
    if plan.artifact is not None:
        yield f"Plan: {plan.artifact.digest}"


def _warm_up(gated: Gated) -> str:
    """Return which warm-ups come on top; how many of their cycles are needed, they measure."""
    warmed = [verdict.name for verdict in gated.teachers if verdict.done is Remedy.WARM_UP]
    return f", and before it the warm-up on {' and '.join(warmed)}" if warmed else ""


def findings_of(gated: Gated) -> str:
    """Return the gate's verdict on each teacher, and the findings of the plan."""
    return "\n".join(map(plain, _findings_lines(gated)))


def _findings_lines(gated: Gated) -> Iterator[str]:
    plan = gated.plan
    references = {teacher.name: teacher.reference for teacher in plan.teachers}
    for verdict in gated.teachers:
        reference = references.get(verdict.name, f"{verdict.name} (left out)")
        yield f"{reference}: {verdict.verdict.value}, lead {verdict.lead_words}{_cure(verdict)}"
    counts = [
        f"{sum(note.severity == severity for note in plan.notes)} {severity}s"
        for severity in ("refusal", "warning")
    ]
    codes = sorted({note.code for note in plan.notes if note.severity != "note"})
    named = f" ({', '.join(codes)})" if codes else ""
    yield f"Findings: {', '.join(counts)}{named}."


def _cure(verdict: TeacherVerdict) -> str:
    return f"; remedy: {verdict.done.value}" if verdict.done.value != "none" else ""
