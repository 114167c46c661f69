"""``provost student``: what was published, and which of it the names stand for."""

import click

from lineage.artifacts import Student, parse_manifest
from lineage.mirror import mirror_entry
from lineage.registry import Registry
from lineage.slots import Entry
from lineage.store import Store, open_store
from lineage.survey import survey
from workflows.commands.export import export_command
from workflows.commands.output import say, tabulate, tell_left_out

PREFIX = "student."
RELEASED = "released"


@click.group()
def student() -> None:
    """Published students in the registry."""


student.add_command(export_command("student"))


@student.command("list")
def list_students() -> None:
    """List every published student: its teachers, waivers, and where aliases point."""
    store = open_store()
    found = survey(store, PREFIX)
    if not found.entries and not found.problems:
        raise click.ClickException(
            f"no student is published in {store.uri}: `provost run consolidation` makes one"
        )
    rows = []
    for entry in found.entries:
        what = f"{entry.name}@{entry.version}"
        manifest = found.attempt(what, lambda e=entry: _manifest(store, e), None)  # type: ignore[misc]
        if manifest is None:
            continue
        rows.append(
            (
                what,
                found.pointing_at(entry),
                [share.reference.removeprefix("teacher.") for share in manifest.teachers],
                str(len(manifest.waivers) or ""),
                entry.created[:16].replace("T", " "),
                found.status(entry),
            )
        )
    columns = ("student", "aliases", "teachers", "waivers", "published", "status")
    # The name is what other commands take: it is never cut.
    tabulate(columns, rows, whole=("student",))
    tell_left_out(found.problems)


def _manifest(store: Store, entry: Entry) -> Student:
    return parse_manifest(store.get_bytes(entry.digest), Student)


@student.command()
@click.argument("reference")
@click.option("--reason", required=True, help="Why; it stays in the record for ever.")
@click.option("--by", required=True, help="Who rolls back.")
def rollback(reference: str, reason: str, by: str) -> None:
    """Point `released` at REFERENCE, such as student.general@3; nothing is deleted."""
    store = open_store()
    registry = Registry(store)
    entry = registry.resolve(reference)
    if not entry.name.startswith(PREFIX):
        raise click.ClickException(f"{reference!r} is {entry.name}, which is no student")
    before = registry.aliases(entry.name).get(RELEASED)
    if before == entry.version:
        raise click.ClickException(f"{entry.name}@{RELEASED} is version {before} already")
    registry.point(entry.name, RELEASED, entry.version, by=by, reason=reason)
    mirror_entry(store, entry.name)
    say(f"{entry.name}@{RELEASED} is version {entry.version}; it was {before}")


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
        say(f"{move.at[:19]}  {move.alias} -> {move.version}  by {move.by}{why}")
