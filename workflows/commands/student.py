"""``provost student``: what was published, and which of it the names stand for."""

import click
from rich.console import Console
from rich.table import Table

from lineage.artifacts import Student, parse_manifest
from lineage.errors import LineageError
from lineage.mirror import mirror_entry
from lineage.registry import Registry
from lineage.store import open_store

PREFIX = "student."
RELEASED = "released"


@click.group()
def student() -> None:
    """Published students in the registry."""


@student.command("list")
def list_students() -> None:
    """List every published student: its teachers, waivers, and where aliases point."""
    store = open_store()
    registry = Registry(store)
    names = [name for name in registry.names() if name.startswith(PREFIX)]
    if not names:
        raise click.ClickException(
            f"no student is published in {store.uri}: `provost run consolidation` makes one"
        )
    table = Table(box=None, pad_edge=False)
    for column in ("student", "aliases", "teachers", "waivers", "published", "status"):
        # The name is what other commands take: it is never cut.
        table.add_column(column, no_wrap=column == "student", overflow="fold")
    for name in names:
        pointing = registry.aliases(name)
        for entry in registry.versions(name):
            manifest = parse_manifest(store.get_bytes(entry.digest), Student)
            table.add_row(
                f"{name}@{entry.version}",
                "\n".join(sorted(a for a, version in pointing.items() if version == entry.version)),
                "\n".join(share.reference.removeprefix("teacher.") for share in manifest.teachers),
                str(len(manifest.waivers) or ""),
                entry.created[:16].replace("T", " "),
                registry.status(name, entry.version),
            )
    Console().print(table)


@student.command()
@click.argument("reference")
@click.option("--reason", required=True, help="Why; it stays in the record for ever.")
@click.option("--by", required=True, help="Who rolls back.")
def rollback(reference: str, reason: str, by: str) -> None:
    """Point `released` at REFERENCE, such as student.general@3; nothing is deleted."""
    store = open_store()
    registry = Registry(store)
    try:
        entry = registry.resolve(reference)
    except LineageError as error:
        raise click.ClickException(str(error)) from error
    if not entry.name.startswith(PREFIX):
        raise click.ClickException(f"{reference!r} is {entry.name}, which is no student")
    before = registry.aliases(entry.name).get(RELEASED)
    if before == entry.version:
        raise click.ClickException(f"{entry.name}@{RELEASED} is version {before} already")
    try:
        registry.point(entry.name, RELEASED, entry.version, by=by, reason=reason)
    except LineageError as error:
        raise click.ClickException(str(error)) from error
    mirror_entry(store, entry.name)
    click.echo(f"{entry.name}@{RELEASED} is version {entry.version}; it was {before}")


@student.command()
@click.argument("name", default="student.general")
def moves(name: str) -> None:
    """List where the aliases of NAME have pointed: when, by whom and why."""
    registry = Registry(open_store())
    students = [known for known in registry.names() if known.startswith(PREFIX)]
    if name not in students:
        raise click.ClickException(f"no student is called {name!r}; there are: {students}")
    for move in registry.moves(name):
        why = f": {move.reason}" if move.reason else ""
        click.echo(f"{move.at[:19]}  {move.alias} -> {move.version}  by {move.by}{why}")
