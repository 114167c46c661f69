"""The plan for people: who and what is merged, what speaks against it, what it will take."""

from collections.abc import Sequence

from lineage.plain import plain
from tasks.gate.forecast import Forecast
from tasks.handover import Note, Plan, PlannedTeacher
from tasks.page.document import document, section
from tasks.page.html import Html, element, join

_SHORT = 19
_STYLE = """
.verdict { font-size: 18px; margin: 16px 0 0; }
.finding b { text-transform: uppercase; font-size: 12.5px; letter-spacing: .04em; }
.finding { border-left: 4px solid var(--rule); padding: 2px 0 2px 14px; margin: 0 0 16px; }
.finding.refusal { border-left-color: var(--ink); border-left-width: 8px; }
.finding .what { color: var(--muted); font-size: 14.5px; }
.finding.warning { border-left-color: var(--muted); }
.finding p { margin: 2px 0; overflow-wrap: anywhere; max-width: 76ch; }
.facts dd { overflow-wrap: anywhere; }
code { overflow-wrap: anywhere; }
"""


def plan_text(plan: Plan, forecast: Forecast) -> str:
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
    return "\n".join(map(plain, lines))


def plan_page(plan: Plan, forecast: Forecast) -> str:
    """Return the plan as a whole page, for the Deck that is open beside the approval."""
    assert plan.artifact is not None
    header = element(
        "header",
        {},
        element("p", {"class": "eyebrow"}, "Provost · plan of a consolidation"),
        element("h1", {}, _headline(plan)),
        element("p", {"class": "verdict"}, _verdict(plan.notes)),
        element("p", {"class": "how"}, "plan ", element("code", {}, plan.artifact.digest)),
    )
    note = "Resolved once; an alias that moves from now on does not move this plan."
    main = element(
        "main",
        {},
        section("teachers", "Who is merged", note, _teachers(plan)),
        section("findings", "What the records say", "", _findings(plan.notes)),
        section(
            "cost",
            "What it will take",
            "An estimate. Nothing has been spent yet.",
            _facts(forecast.lines()),
        ),
    )
    return document("Plan of a consolidation", join([header, main]), _STYLE)


def _headline(plan: Plan) -> str:
    names = ", ".join(teacher.reference.removeprefix("teacher.") for teacher in plan.teachers)
    return f"{names} into one student"


def _verdict(notes: Sequence[Note]) -> str:
    counts = {
        severity: sum(note.severity == severity for note in notes)
        for severity in ("refusal", "warning", "note")
    }
    if not notes:
        return "By record everything fits."
    said = ", ".join(
        f"{count} {name}{'s' * (count > 1)}" for name, count in counts.items() if count
    )
    return f"The records speak: {said}."


def _teachers(plan: Plan) -> Html:
    head = ("teacher", "release", "owner", "teaches", "rungs", "checkpoint")
    rows = [
        element(
            "tr",
            {},
            element("th", {"scope": "row"}, teacher.name),
            *(element("td", {}, cell) for cell in _cells(teacher)),
            element("td", {}, element("code", {}, teacher.checkpoint.digest[:_SHORT])),
        )
        for teacher in plan.teachers
    ]
    is_fork_point = plan.student.digest == plan.fork_point.digest
    start = element(
        "p",
        {},
        "The student starts from ",
        element("code", {}, plan.student.digest[:_SHORT]),
        ", the fork point of its teachers." if is_fork_point else ".",
    )
    headings = [element("th", {"scope": "col"}, name) for name in head]
    table = element(
        "table",
        {"class": "plain"},
        element("thead", {}, element("tr", {}, *headings)),
        element("tbody", {}, *rows),
    )
    scroll = {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": "teachers"}
    return join([start, element("div", scroll, table)])


def _cells(teacher: PlannedTeacher) -> tuple[str, ...]:
    return (teacher.reference, teacher.owner, _share(teacher), str(len(teacher.ladder)))


def _share(teacher: PlannedTeacher) -> str:
    who = "the student itself teaches " if teacher.is_self else ""
    return f"{who}{teacher.share:.0%} of {teacher.domain}"


def _findings(notes: Sequence[Note]) -> Html:
    if not notes:
        return element("p", {}, "Nothing.")
    alike: dict[tuple[str, str, str], list[Note]] = {}
    for note in notes:
        alike.setdefault((note.severity, note.code, note.next_step), []).append(note)
    return join(_finding(*what, found) for what, found in alike.items())


def _finding(severity: str, code: str, next_step: str, found: Sequence[Note]) -> Html:
    """Return one finding with everyone whom it is about."""
    subjects = ", ".join(note.subject for note in found)
    return element(
        "article",
        {"class": f"finding {severity}"},
        element("p", {}, element("b", {}, severity), f" {subjects} [{code}]"),
        *(element("p", {}, note.evidence) for note in found),
        element("p", {"class": "what"}, f"What to do: {next_step}"),
    )


def _facts(lines: Sequence[tuple[str, str]]) -> Html:
    pairs = [join([element("dt", {}, name), element("dd", {}, value)]) for name, value in lines]
    return element("dl", {}, *pairs)
