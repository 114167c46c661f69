"""A comparison of two consolidations for people: a page, and tables for the terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tasks.evaluate.charts import difference_axis, strip
from tasks.evaluate.compare import ABSENT, Comparison
from tasks.evaluate.outcomes import OVERALL
from tasks.evaluate.wording import number, signed, signed_span, span
from tasks.page.document import document, section
from tasks.page.html import Html, element, join
from tasks.statistics import Interval

_STYLE = """
.plain :is(td, th) { overflow-wrap: break-word; vertical-align: top; }
.plain .drawing { width: 30%; min-width: 120px; height: 42px; padding-right: 18px; }
code { overflow-wrap: anywhere; }
.plain thead th { padding-right: 10px; }
"""
Pairs = Mapping[str, tuple[str, str]]


def headline(comparison: Comparison) -> str:
    """Return what the comparison shows, in a sentence."""
    one, two = comparison.first.name, comparison.second.name
    if OVERALL not in comparison.differences:
        return f"{two} and {one} cannot be compared prompt by prompt"
    overall = comparison.differences[OVERALL]
    if not overall.excludes(0):
        return f"No difference between {two} and {one} is shown overall"
    better, worse = (two, one) if overall.mean > 0 else (one, two)
    return f"{better} is better than {worse} overall, by {number(abs(overall.mean))}"


def comparison_page(comparison: Comparison) -> str:
    """Return the comparison as a self-contained page."""
    one, two = comparison.first, comparison.second
    header = element(
        "header",
        {},
        element("p", {"class": "eyebrow"}, "Provost · two consolidations"),
        element("h1", {}, headline(comparison)),
        element("p", {"class": "how"}, f"{one.name}: ", element("code", {}, one.digest)),
        element("p", {"class": "how"}, f"{two.name}: ", element("code", {}, two.digest)),
    )
    names = (one.name, two.name)
    note = (
        f"The difference is {two.name} minus {one.name} on the same held-out prompts, with its "
        "95 % interval; hollow where that includes 0."
    )
    main = element(
        "main",
        {},
        section("scores", "Scores", note, _scores(comparison)),
        section("teachers", "Teachers", "", _table("domain", names, comparison.teachers)),
        section(
            "settings",
            "Settings that differ",
            "Those of the last round.",
            _table("setting", names, comparison.settings)
            if comparison.settings
            else element("p", {}, "None."),
        ),
    )
    return document("Two consolidations", join([header, main]), _STYLE)


def comparison_view(comparison: Comparison) -> Group:
    """Return the comparison for a rich console."""
    names = (comparison.first.name, comparison.second.name)
    scores = Table("", *names, "difference", box=None, pad_edge=False)
    for name, cells in _rows(comparison).items():
        scores.add_row(*(Text(cell) for cell in (name, *cells)))
    parts: list[Text | Table] = [Text(headline(comparison), style="bold"), scores]
    for title, pairs in (("teacher", comparison.teachers), ("setting", comparison.settings)):
        table = Table(title, *names, box=None, pad_edge=False)
        for name, pair in pairs.items():
            table.add_row(*(Text(cell, overflow="fold") for cell in (name, *pair)))
        parts += [Text(), table]
    return Group(*parts)


def _rows(comparison: Comparison) -> dict[str, tuple[str, str, str]]:
    """Return for each domain both scores and the difference, in words."""
    one, two = comparison.first.scores(), comparison.second.scores()
    rows = {}
    for name in [*(n for n in dict.fromkeys([*one, *two]) if n != OVERALL), OVERALL]:
        difference = comparison.differences.get(name)
        said = comparison.not_paired.get(name, ABSENT)
        if difference is not None:
            said = f"{signed(difference.mean)} ({signed_span(difference)})"
        rows[name] = (_score(one.get(name)), _score(two.get(name)), said)
    return rows


def _score(interval: Interval | None) -> str:
    return ABSENT if interval is None else f"{number(interval.mean)} ({span(interval)})"


def _scores(comparison: Comparison) -> Html:
    axis = difference_axis(list(comparison.differences.values()) or [Interval(0.0, 0.0, 0.0, 1)])
    rows = []
    for name, (first, second, said) in _rows(comparison).items():
        difference = comparison.differences.get(name)
        drawing = Html()
        if difference is not None:
            drawing = strip(
                axis, difference, "clear" if difference.excludes(0) else "unclear", None
            )
        cells = [_cell(words) for words in (first, second, said)]
        row = [element("th", {"scope": "row"}, name), *cells]
        rows.append(element("tr", {}, *row, element("td", {"class": "drawing"}, drawing)))
    names = ("", comparison.first.name, comparison.second.name, "difference", "")
    return _tabled(names, rows)


def _cell(words: str) -> Html:
    """Return a score with its interval below it."""
    value, separator, interval = words.partition(" (")
    below = [element("small", {}, interval.removesuffix(")"))] if separator else []
    return element("td", {}, value, *below)


def _table(what: str, names: tuple[str, str], pairs: Pairs) -> Html:
    rows = [
        element(
            "tr",
            {},
            element("th", {"scope": "row"}, name),
            *(element("td", {}, cell) for cell in pair),
        )
        for name, pair in pairs.items()
    ]
    return _tabled((what, *names), rows)


def _tabled(names: Sequence[str], rows: Sequence[Html]) -> Html:
    head = [element("th", {"scope": "col"}, name) for name in names]
    table = element(
        "table",
        {"class": "plain"},
        element("thead", {}, element("tr", {}, *head)),
        element("tbody", {}, *rows),
    )
    scroll = {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": names[0] or "all"}
    return element("div", scroll, table)
