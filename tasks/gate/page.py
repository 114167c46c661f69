"""The gate for people: who fits, why, the worst tokens in context, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.gate.growth import Growth
from tasks.gate.growth_page import growth_section
from tasks.gate.judge import Judged
from tasks.gate.ladder_page import ladder_table
from tasks.gate.measured import Ancestry, Measured, TeacherMeasure
from tasks.gate.reading_page import course, worst
from tasks.gate.refork import Requested
from tasks.handover import Cure, Plan, TeacherVerdict, Verdict, WarmUpSettings
from tasks.page.document import document, section
from tasks.page.html import Html, element, join
from tasks.statistics import Z

_STYLE = """
.matrix td { text-align: left; white-space: nowrap; }
.matrix td.bad { border: 2px solid var(--ink); font-weight: 680; }
.matrix td.none { color: var(--muted); }
.reason { border-left: 4px solid var(--rule); padding: 2px 0 2px 14px; margin: 0 0 14px; }
.reason.refusal { border-left-color: var(--ink); border-left-width: 8px; }
.reason p { margin: 2px 0; max-width: 76ch; overflow-wrap: anywhere; }
.context { font-family: ui-monospace, monospace; font-size: 13px; overflow-wrap: anywhere; white-space: pre-wrap; }
.context mark { background: var(--mark); color: var(--ink); border: 1px solid var(--ink); padding: 0 2px; }
figure { margin: 8px 0 16px; }
figcaption { color: var(--muted); font-size: 14px; }
"""  # noqa: E501 - style rules, one a line
_LIGHT = WarmUpSettings()
_CURES = {
    Cure.NONE: "nothing",
    Cure.WARM_UP: "a light SFT of the student on its answers before the merge: it answers "
    f"{_LIGHT.prompts_per_teacher} prompts, the student takes {_LIGHT.steps_per_teacher} steps of "
    f"{_LIGHT.batch_size}",
    Cure.DROP: "leave it out: the domain stays as the student has it",
}


@dataclass(frozen=True)
class _Cell:
    """One check of one teacher: what is shown, and whether it speaks against it."""

    text: str
    bad: bool = False


def gate_page(
    plan: Plan,
    measured: Measured,
    judged: Mapping[str, Judged],
    verdicts: Sequence[TeacherVerdict],
    reforks: Mapping[str, Requested],
    growth: Growth,
) -> str:
    """Return the whole page."""
    header = element(
        "header",
        {},
        element("p", {"class": "eyebrow"}, "Provost · gate before the merge"),
        element("h1", {}, _headline(verdicts)),
        element(
            "p",
            {"class": "how"},
            f"{len(measured.teachers)} teachers, {measured.settings.prompts_per_domain} prompts a "
            "domain, the student's own rollouts; measured without the records, but for what is "
            "declared of ancestry. Student ",
            element("code", {}, plan.student.digest[:19]),
            ".",
        ),
    )
    parts = [
        section(
            "matrix",
            "Teachers and checks",
            "A check that speaks against a teacher has a heavy border and a cross.",
            _matrix(measured, judged),
        ),
        *(
            section(
                f"teacher-{place}",
                each.name,
                "",
                _teacher(each, judged[each.name], verdict, reforks.get(each.name)),
            )
            for place, (each, verdict) in enumerate(
                zip(measured.teachers, verdicts, strict=True), start=1
            )
        ),
        section("growth", "What came of earlier merges", "", growth_section(growth)),
    ]
    return document("Gate before the merge", join([header, element("main", {}, *parts)]), _STYLE)


def unmeasured_page(plan: Plan) -> str:
    """Return the page of a plan whose teachers nobody measured."""
    names = ", ".join(teacher.name for teacher in plan.teachers if not teacher.is_self)
    header = element(
        "header",
        {},
        element("p", {"class": "eyebrow"}, "Provost · gate before the merge"),
        element("h1", {}, "Nobody measured whether these teachers fit."),
        element("p", {"class": "how"}, f"{names}: gate_prompts_per_domain was 0."),
    )
    return document("Gate before the merge", header, _STYLE)


def _headline(verdicts: Sequence[TeacherVerdict]) -> str:
    counts = {v: [t.name for t in verdicts if t.verdict is v] for v in Verdict}
    if len(counts[Verdict.FITS]) == len(verdicts):
        return "All teachers fit."
    return "; ".join(f"{', '.join(names)}: {v.value}" for v, names in counts.items() if names) + "."


def _matrix(measured: Measured, judged: Mapping[str, Judged]) -> Html:
    rows = {each.name: _checks(each, judged[each.name]) for each in measured.teachers}
    checks = list(next(iter(rows.values())))
    head = element(
        "tr",
        {},
        element("th", {"scope": "col"}, "check"),
        *(element("th", {"scope": "col"}, name) for name in rows),
    )
    body = [
        element(
            "tr",
            {},
            element("th", {"scope": "row"}, check),
            *(_cell(cells[check]) for cells in rows.values()),
        )
        for check in checks
    ]
    table = element(
        "table",
        {"class": "plain matrix"},
        element("thead", {}, head),
        element("tbody", {}, *body),
    )
    scroll = {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": "matrix"}
    return element("div", scroll, table)


def _cell(cell: _Cell) -> Html:
    kind = "bad" if cell.bad else "good"
    return element("td", {"class": kind}, f"{'✗ ' if cell.bad else ''}{cell.text}")


def _checks(measure: TeacherMeasure, judged: Judged) -> dict[str, _Cell]:
    reading, scores = measure.reading, measure.scores
    codes = {reason.code for reason in judged.reasons}
    prediction = judged.prediction
    expected = (
        f"{prediction.score:.2f} ({prediction.low:.2f} to {prediction.high:.2f})"
        if prediction
        else "not asked"
    )
    return {
        "verdict": _Cell(judged.verdict.value, judged.verdict is not Verdict.FITS),
        "share of its gain expected": _Cell(
            expected, bool(codes & {"measured-misfit", "gate-unknown"})
        ),
        "score, student to teacher": _Cell(
            f"{scores.student:.2f} to {scores.teacher:.2f} (± {Z * scores.error:.2f})",
            "no-gain" in codes,
        ),
        "reverse KL, nats a token": _Cell(f"{reading.kl:.3f}"),
        "forward KL, nats a token": _Cell(f"{reading.forward_kl:.3f}"),
        "top words in common": _Cell(f"{reading.overlap:.0%}"),
        "student's mass on them": _Cell(f"{reading.mass:.1%}"),
        "tokens out of its distribution": _Cell(f"{reading.rare:.1%}"),
        "entropy, student and teacher": _Cell(
            f"{reading.student_entropy:.2f}, {reading.teacher_entropy:.2f}"
        ),
        "nats from uniform": _Cell(f"{reading.from_uniform:.2f}", "teacher-uniform" in codes),
        "two calls differ by, nats": _Cell(
            f"{reading.unsteady:.1g}", bool(codes & {"teacher-unsteady", "teacher-not-finite"})
        ),
        "distance from the start": _Cell(
            f"{measure.displacement.relative:.1%}" if measure.displacement else "not comparable"
        ),
        "declared precursor in its weights": _ancestry(measure.ancestry),
        "declared fork point in its precursor's": _ancestry(measure.fork_point),
        "explains its own domain best": _Cell(
            "too few answers"
            if measure.swap is None
            else (f"no: {measure.swap.suspect} does" if measure.swap.suspect else "yes"),
            bool(codes & {"swapped-path", "other-words"}),
        ),
    }


def _ancestry(found: Ancestry | None) -> _Cell:
    if found is None:
        return _Cell("not asked")
    share = "" if found.projection is None else f"{found.projection:.0%} of what that learned"
    return _Cell(share or f"{found.distance:.1%} from it", found.contradicted)


def _teacher(
    measure: TeacherMeasure, judged: Judged, verdict: TeacherVerdict, refork: Requested | None
) -> Html:
    reasons = [
        element(
            "article",
            {"class": f"reason {reason.severity}"},
            element("p", {}, element("b", {}, reason.severity), f" [{reason.code}]"),
            element("p", {}, reason.evidence),
            element("p", {"class": "how"}, f"What to do: {reason.next_step}"),
        )
        for reason in judged.reasons
    ]
    cosines = measure.displacement.cosines if measure.displacement else {}
    said = ", ".join(f"{name} {value:.2f}" for name, value in cosines.items())
    facts = {
        "verdict": judged.verdict.value,
        "proposed, and what it takes": _CURES[verdict.proposed],
        "done in this run": _CURES[verdict.done],
        "direction, cosine with other teachers": said or "not comparable",
    }
    if refork:
        request = refork.refork
        facts[f"for {request.owner}, to climb again from the student's start"] = refork.command
        inputs = ", ".join(f"{name} = {value}" for name, value in request.inputs.items())
        facts["the same from Flyte's console, in its project"] = (
            f"{request.launch_plan} with {inputs}"
        )
    listed = element(
        "dl",
        {},
        *(join([element("dt", {}, k), element("dd", {}, v)]) for k, v in facts.items()),
    )
    shown = [course(measure.reading), ladder_table(measure, verdict), worst(measure.reading)]
    return join([listed, *reasons, *shown])
