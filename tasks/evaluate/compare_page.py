"""A comparison of two consolidations for people: a page, and tables for the terminal."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tasks.evaluate.charts import difference_axis
from tasks.evaluate.compare import ABSENT, Comparison
from tasks.evaluate.outcomes import OVERALL
from tasks.evaluate.wording import number, signed, signed_span, span
from tasks.reports.rendering import render
from tasks.statistics import Interval


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
    differences = comparison.differences
    return render(
        "comparison.html.j2",
        title="Two consolidations",
        headline=headline(comparison),
        first=comparison.first,
        second=comparison.second,
        rows=_rows(comparison),
        differences=differences,
        axis=difference_axis(list(differences.values()) or [Interval(0.0, 0.0, 0.0, 1)]),
        teachers=[(name, *pair) for name, pair in comparison.teachers.items()],
        settings=[(name, *pair) for name, pair in comparison.settings.items()],
    )


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
