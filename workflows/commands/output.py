"""What commands print. All of it goes through here, where text of others is made plain.

Rich is imported when something is drawn: ``provost --help`` does not wait for it.
"""

import json
import traceback
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lineage.errors import paragraph, plain

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console, RenderableType

Command = TypeVar("Command", bound=Callable[..., Any])


def say(line: str = "", *, err: bool = False) -> None:
    """Print one line, to standard error if ``err``."""
    click.echo(plain(line), err=err)


def complain(message: str) -> None:
    """Print a message to standard error; lines after its first are indented."""
    click.echo(paragraph(message), err=True)


def as_json(command: Command) -> Command:
    """Give a command the option ``--json``; docs/guides/json.md says what it then prints."""
    option = click.option(
        "--json", "as_document", is_flag=True, help="Print JSON; see docs/guides/json.md."
    )
    return option(command)


def emit(document: "BaseModel") -> None:
    """Print a document as one line of JSON, in ASCII, so that it is the same everywhere."""
    say(json.dumps(document.model_dump(mode="json"), allow_nan=False))


def decided(question: str) -> bool:
    """Return whether the user answers yes rather than no; Enter alone is no answer.

    Raises:
        click.Abort: if there is no answer, such as without a terminal.
    """
    return click.confirm(plain(question), default=None, err=True)


def agreed(question: str) -> bool:
    """Return whether the user answers yes; without a terminal the answer is no."""
    try:
        return click.confirm(plain(question), err=True)
    except click.Abort:
        return False


def tell_left_out(problems: Sequence[str]) -> None:
    """Report what a list had to leave out, and end with exit status 1 where there is any."""
    for problem in problems:
        complain(f"WRONG {problem}")
    if problems:
        raise SystemExit(1)


def draw(what: "RenderableType", *, soft_wrap: bool = False) -> None:
    """Print what rich draws: texts in it are neither markup nor control sequences."""
    console().print(what, soft_wrap=soft_wrap)


def tabulate(
    columns: Sequence[str],
    rows: "Iterable[Sequence[str | Sequence[str]]]",
    *,
    whole: Sequence[str] = (),
) -> None:
    """Print a table without lines; a cell is one text, or texts below each other.

    Those of the columns ``whole`` are never cut.
    """
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(plain(column), no_wrap=column in whole, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(cell) for cell in row))
    draw(table)


def _cell(cell: str | Sequence[str]) -> str:
    return plain(cell) if isinstance(cell, str) else "\n".join(map(plain, cell))


def console(*, err: bool = False) -> "Console":
    """Return a console that makes every segment plain, also in texts that others wrote."""
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment

    class PlainConsole(Console):
        def render(
            self, renderable: "RenderableType", options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                if segment.control:
                    yield segment
                else:
                    text = "\n".join(map(plain, segment.text.split("\n")))
                    yield Segment(text, segment.style)

    return PlainConsole(stderr=err, markup=False, emoji=False, highlight=False)


def show_trace(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print an unexpected error with its traceback, without control characters."""
    lines = "".join(traceback.format_exception(kind, error, trace)).splitlines()
    click.echo("\n".join(map(plain, lines)), err=True)
