"""The ladder of a teacher for people: how far each rung is, and which stage takes it."""

import math

from tasks.gate.measured import TeacherMeasure
from tasks.handover import TeacherVerdict
from tasks.page.html import Html, element, join


def ladder_table(measure: TeacherMeasure, verdict: TeacherVerdict) -> Html:
    """Return the measured rungs of a staged ladder; nothing where there is one stage."""
    if not measure.ladder:
        return Html("")
    stages = {rung.step: place for place, rung in enumerate(verdict.ladder, start=1)}
    whole = measure.reading.kl
    rows = [
        _row(f"step {each.step}", each.kl, whole, stages.get(each.step)) for each in measure.ladder
    ]
    rows.append(_row("the teacher", whole, whole, len(stages) + 1))
    names = ("rung", "KL, nats a token", "of the teacher's", "taken in")
    head = element("tr", {}, *(element("th", {"scope": "col"}, name) for name in names))
    table = element(
        "table", {"class": "plain"}, element("thead", {}, head), element("tbody", {}, *rows)
    )
    note = (
        f"Its ladder in {len(stages) + 1} stages: KL(student || rung) on the same rollouts, a "
        f"forward pass of {measure.reading.tokens:,} answer tokens for each of "
        f"{len(measure.ladder)} earlier rungs. A stage takes the rung nearest to an equal part of "
        "the way to the teacher, later ones from later in the climb."
    )
    scroll = {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": "ladder"}
    return join([element("p", {"class": "note"}, note), element("div", scroll, table)])


def _row(rung: str, kl: float, whole: float, stage: int | None) -> Html:
    known = math.isfinite(kl)
    cells = (
        f"{kl:.3f}" if known else "not finite",
        f"{kl / whole:.0%}" if known and whole > 0 else "",
        f"stage {stage}" if stage else "",
    )
    return element(
        "tr", {}, element("th", {"scope": "row"}, rung), *(element("td", {}, c) for c in cells)
    )
