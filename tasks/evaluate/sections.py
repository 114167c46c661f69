"""The report's sections on scores: each takes the scorecard and returns HTML."""

from collections.abc import Callable

from tasks.evaluate.charts import SCORE_AXIS, Axis, difference_axis, scale, strip
from tasks.evaluate.outcomes import FORK_POINT, OVERALL, TEACHER
from tasks.evaluate.scorecard import DomainScores, Responses, Scorecard
from tasks.evaluate.wording import (
    MINUS,
    compared,
    known,
    label,
    number,
    percent,
    signed,
    signed_span,
    span,
)
from tasks.page.document import section
from tasks.page.html import Html, element, join
from tasks.statistics import Interval

NOTHING = "\N{EM DASH}"
"""Stands in a cell where nothing was measured."""


def scores_section(card: Scorecard) -> Html:
    """Return a panel for each domain: a row for each method, drawn and in numbers."""
    panels = [_score_panel(card, OVERALL, card.overall, "panel wide")]
    panels += [_score_panel(card, name, each, "panel") for name, each in card.domains.items()]
    note = (
        "Mean score, with its 95 % interval as a bar. The shaded band runs from the fork point to "
        "the teacher of the domain; the normalised score is the share of that band a method "
        "covers: 0 is the fork point, 1 the teacher. Overall is the mean over domains."
    )
    return section("scores", "Scores", note, element("div", {"class": "panels"}, *panels))


def matrix_section(card: Scorecard) -> Html:
    """Return every teacher on every domain: numbers on a ground as strong as the score."""
    head = [element("th", {"scope": "col"}, domain) for domain in card.domains]
    rows = [
        element(
            "tr",
            {},
            element("th", {"scope": "row"}, f"{teacher} teacher"),
            *(_heat(row.get(domain), own=domain == teacher) for domain in card.domains),
        )
        for teacher, row in card.matrix.items()
    ]
    table = element(
        "table",
        {"class": "matrix"},
        element("thead", {}, element("tr", {}, element("td", {"class": "none"}), *head)),
        element("tbody", {}, *rows),
    )
    note = (
        "A row is one teacher, a column the domain it is evaluated on; outlined cells are its own "
        "domain. The stronger the colour, the higher. Where a row is pale off its own domain, the "
        "domains conflict: no teacher can stand in for another."
    )
    return section("teachers", "Each teacher on every domain", note, _scroll("matrix", table))


def paired_section(card: Scorecard) -> Html:
    """Return the student minus each other method, per domain, on one symmetric axis."""
    axis = difference_axis([each for row in card.paired.values() for each in row.values()])
    others = card.paired[OVERALL]
    first = [name for name in (TEACHER, *others) if name in others]
    panels = [_difference_panel(card, axis, name) for name in dict.fromkeys(first)]
    note = (
        "Differences on the same prompts, which is sharper than comparing two intervals. Right of "
        "the line the student is better. Hollow bars and grey numbers: the interval includes 0, "
        "so no difference is shown."
    )
    return section(
        "differences", "The student against the others", note,
        element("div", {"class": "panels"}, *panels),
    )  # fmt: skip


def responses_section(card: Scorecard) -> Html:
    """Return mean response lengths and the share of responses cut at the limit."""
    head = [element("th", {"scope": "col"}, domain) for domain in card.domains]
    rows = [
        element(
            "tr",
            {"class": method},
            element("th", {"scope": "row"}, label(method)),
            *(_length(card.responses[domain][method]) for domain in card.domains),
        )
        for method in card.methods()
    ]
    table = element(
        "table",
        {"class": "plain"},
        element("thead", {}, element("tr", {}, element("td", {}), *head)),
        element("tbody", {}, *rows),
    )
    note = (
        f"Mean tokens of a response, and below it the share cut at the limit of "
        f"{card.settings.max_tokens} tokens, with its 95 % interval."
    )
    return section("lengths", "Response lengths", note, _scroll("lengths", table))


def _score_panel(card: Scorecard, name: str, scores: DomainScores, kind: str) -> Html:
    band = None
    if FORK_POINT in scores.methods:
        band = (scores.methods[FORK_POINT].mean, scores.methods[TEACHER].mean)
    shown = compared(card)
    rows = []
    for method, interval in scores.methods.items():
        share = known(scores.normalised.get(method)) if method in shown else None
        values = [_value(interval, number, span)]
        if shown:
            values.append(_value(share, number, span))
        rows.append(_row(method, label(method), strip(SCORE_AXIS, interval, method, band), values))
    count = f"{next(iter(scores.methods.values())).n:,} prompts"
    headings = ("score", "normalised") if shown else ("score",)
    return _panel(kind, name, count, headings, rows, scale(SCORE_AXIS, _SCORE_LABELS))


_SCORE_LABELS = ((0.0, "0"), (0.5, "0.5"), (1.0, "1"))


def _difference_panel(card: Scorecard, axis: Axis, other: str) -> Html:
    rows = []
    for name in (*card.domains, OVERALL):
        interval = card.paired[name][other]
        kind = "clear" if interval.excludes(0) else "unclear"
        drawing = strip(axis, interval, kind, None)
        rows.append(_row(kind, name, drawing, [_value(interval, signed, signed_span)]))
    ends = [(value, f"{value:+.1f}".replace("-", MINUS)) for value in (axis.low, axis.high)]
    labels = scale(axis, [(0.0, "0"), *ends])
    title = f"student {MINUS} {label(other)}"
    return _panel("panel signed", title, "", ("difference",), rows, labels)


def _panel(
    kind: str, title: str, count: str, headings: tuple[str, ...], rows: list[Html], foot: Html
) -> Html:
    caption = element("caption", {}, title, *([" ", element("small", {}, count)] if count else []))
    head = element(
        "tr",
        {},
        element("td", {"class": "name"}),
        element("td", {}),
        *(element("th", {"scope": "col", "class": "value"}, each) for each in headings),
    )
    last = element("tr", {}, element("td", {}), element("td", {}, foot))
    table = element(
        "table",
        {},
        caption,
        element("thead", {}, head),
        element("tbody", {}, *rows),
        element("tfoot", {"aria-hidden": "true"}, last),
    )
    return element("div", {"class": kind}, table)


def _row(kind: str, name: str, drawing: Html, values: list[Html]) -> Html:
    head = element("th", {"scope": "row"}, name)
    return element("tr", {"class": kind}, head, element("td", {}, drawing), *values)


def _value(
    interval: Interval | None,
    mean: Callable[[float], str],
    limits: Callable[[Interval], str],
) -> Html:
    if interval is None:
        return element("td", {"class": "value"})
    written = element("small", {}, limits(interval))
    return element("td", {"class": "value"}, mean(interval.mean), " ", written)


def _heat(interval: Interval | None, *, own: bool) -> Html:
    if interval is None:
        return element("td", {"class": "none"}, NOTHING)
    attributes = {"class": "own" if own else "other", "style": f"--value:{interval.mean:.3f}"}
    return element("td", attributes, number(interval.mean), element("small", {}, span(interval)))


def _length(responses: Responses) -> Html:
    if responses.mean_tokens is None:
        return element("td", {}, NOTHING)
    parts: list[str] = [f"{responses.mean_tokens:.1f}"]
    if (cut := responses.truncated) is not None:
        limits = f"{percent(cut.low)} to {percent(cut.high)}"
        parts += [element("small", {}, line) for line in (f"{percent(cut.mean)} cut", limits)]
    return element("td", {}, *parts)


def _scroll(name: str, table: Html) -> Html:
    """Return a table that scrolls by itself, by keyboard too, where the screen is too narrow."""
    attributes = {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": name}
    return element("div", attributes, join([table]))
