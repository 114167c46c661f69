"""``provost compare``: two consolidations side by side."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from workflows.commands.answers import Compared, ScoreAnswer, SideAnswer
from workflows.commands.output import as_json, draw, emit, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.evaluate.compare import Comparison
    from tasks.statistics import Interval


@click.command()
@click.argument("first")
@click.argument("second")
@click.option(
    "--html", type=click.Path(path_type=Path), help="Write the comparison to this HTML file."
)
@as_json
def compare(first: str, second: str, html: Path | None, as_document: bool) -> None:
    """Compare the published students FIRST and SECOND: settings, teachers, scores."""
    from tasks.evaluate.compare import compare as side_by_side
    from tasks.evaluate.compare import comparison_page, comparison_view
    from tasks.platform.step_runner import StepRunner

    found = side_by_side(StepRunner(), first, second)
    if html is not None:
        html.write_text(comparison_page(found), encoding="utf-8")
    if as_document:
        emit(document_of(found))
    elif html is None:
        draw(comparison_view(found))
    else:
        say(str(html))


def document_of(found: "Comparison") -> Compared:
    """Return what ``--json`` prints."""
    first, second = (
        SideAnswer(reference=each.name, digest=each.digest, scores=_scores(each.scores()))
        for each in (found.first, found.second)
    )
    return Compared(
        first=first,
        second=second,
        settings=found.settings,
        teachers=found.teachers,
        differences=_scores(found.differences),
        not_paired=found.not_paired,
    )


def _scores(found: "Mapping[str, Interval]") -> dict[str, ScoreAnswer]:
    return {
        name: ScoreAnswer(mean=each.mean, low=each.low, high=each.high, n=each.n)
        for name, each in found.items()
    }
