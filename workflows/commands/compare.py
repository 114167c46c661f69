"""``provost compare``: two consolidations side by side."""

from pathlib import Path

import click

from workflows.commands.output import draw, say


@click.command()
@click.argument("first")
@click.argument("second")
@click.option("--html", type=click.Path(path_type=Path), help="Draw it as one page here.")
def compare(first: str, second: str, html: Path | None) -> None:
    """Compare the published students FIRST and SECOND: settings, teachers, scores."""
    from tasks.evaluate.compare import compare as side_by_side
    from tasks.evaluate.compare_page import comparison_page, comparison_view
    from tasks.step import Bench

    found = side_by_side(Bench(), first, second)
    if html is None:
        draw(comparison_view(found))
        return
    html.write_text(comparison_page(found), encoding="utf-8")
    say(str(html))
