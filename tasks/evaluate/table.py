"""A scorecard as text for a terminal."""

from collections.abc import Callable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tasks.evaluate.outcomes import OVERALL
from tasks.evaluate.scorecard import Scorecard
from tasks.evaluate.wording import (
    MINUS,
    compared,
    findings,
    headline,
    known,
    label,
    number,
    sampling,
    signed,
    signed_span,
    span,
)
from tasks.statistics import Interval

COLUMNS = 5
"""Number columns side by side within 100 characters; more go into a second table below."""

NAME_WIDTH, NUMBER_WIDTH = 20, 14

Rows = Mapping[str, Mapping[str, Interval | None]]
"""row -> column -> interval, or None without a measurement."""


def scorecard_view(card: Scorecard) -> Group:
    """Return the scorecard for a rich console: scores, normalized, paired, teacher by domain."""
    every = card.everything()
    scores = {
        label(method): {name: each.methods[method] for name, each in every.items()}
        for method in card.methods()
    }
    normalised = {
        label(method): {name: known(each.normalised.get(method)) for name, each in every.items()}
        for method in compared(card)
    }
    paired = {
        f"{MINUS} {label(method)}": {name: card.paired[name][method] for name in every}
        for method in card.paired[OVERALL]
    }
    matrix = {
        f"{teacher} teacher": {domain: row.get(domain) for domain in card.domains}
        for teacher, row in card.matrix.items()
    }
    subject = label(card.subject)
    summary = Text.assemble((headline(card), "bold"), *(f"\n{line}" for line in findings(card)))
    return Group(
        summary,
        *_section(f"Score, with its 95 % interval\n{sampling(card)}", scores, _plain, subject),
        *_section(
            "Normalized score: 0 is the fork point, 1 the teacher of the domain",
            normalised,
            _plain,
            subject,
        ),
        *_section(f"The {subject} minus each other method, on the same prompts", paired, _signed),
        *_section("Each teacher on every domain", matrix, _plain),
    )


def _section(
    title: str, rows: Rows, show: Callable[[Interval], tuple[str, str]], strong: str = ""
) -> list[RenderableType]:
    """Return a heading and as many tables as the columns need; nothing for no rows."""
    if not rows:
        return []
    columns = list(next(iter(rows.values())))
    blocks = [columns[start : start + COLUMNS] for start in range(0, len(columns), COLUMNS)]
    return [Text(f"\n{title}\n"), *(_table(block, rows, show, strong) for block in blocks)]


def _table(
    columns: Sequence[str], rows: Rows, show: Callable[[Interval], tuple[str, str]], strong: str
) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="underline")
    table.add_column("", width=NAME_WIDTH, overflow="fold")
    for column in columns:
        table.add_column(Text(column), width=NUMBER_WIDTH, overflow="fold")
    for name, cells in rows.items():
        weight = "bold" if name == strong else ""
        texts = [_cell(cells[column], show, weight) for column in columns]
        table.add_row(Text(name, style=weight), *texts)
    return table


def _cell(
    interval: Interval | None, show: Callable[[Interval], tuple[str, str]], weight: str
) -> Text:
    if interval is None:
        return Text("—\n")
    mean, limits = show(interval)
    return Text.assemble((mean, weight), "\n", (limits, "dim"))


def _plain(interval: Interval) -> tuple[str, str]:
    return number(interval.mean), span(interval)


def _signed(interval: Interval) -> tuple[str, str]:
    return signed(interval.mean), signed_span(interval)
