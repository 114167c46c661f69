"""``provost teacher``: who has released what."""

import click
from rich.console import Console
from rich.table import Table

from lineage.artifacts import Release, parse_manifest
from lineage.errors import LineageError
from lineage.graph import Lineage
from lineage.recall import recall as withdraw
from lineage.registry import Registry
from lineage.store import open_store

PREFIX = "teacher."


@click.group()
def teacher() -> None:
    """Teachers in the registry."""


@teacher.command("list")
def list_teachers() -> None:
    """List every released teacher with its versions."""
    store = open_store()
    registry = Registry(store)
    table = Table(box=None, pad_edge=False)
    for column in ("teacher", "aliases", "owner", "kind", "fork point", "released", "status"):
        table.add_column(column)
    names = [name for name in registry.names() if name.startswith(PREFIX)]
    for name in names:
        pointing = registry.aliases(name)
        for entry in registry.versions(name):
            release = parse_manifest(store.get_bytes(entry.digest), Release)
            table.add_row(
                f"{name.removeprefix(PREFIX)}@{entry.version}",
                ", ".join(sorted(a for a, version in pointing.items() if version == entry.version)),
                entry.owner,
                release.kind,
                release.fork_point.digest[7:19],
                entry.created[:16].replace("T", " "),
                registry.status(name, entry.version),
            )
    if not names:
        raise click.ClickException(
            f"no teacher is released in {store.uri}: `provost run teacher math` makes one, "
            "`make demo` makes four"
        )
    Console().print(table)


@teacher.command()
@click.argument("reference")
@click.option("--reason", required=True, help="Why; it stays in the record for ever.")
@click.option("--by", required=True, help="Who recalls it.")
def recall(reference: str, reason: str, by: str) -> None:
    """Withdraw a release; list every student that descends from it, with its owner."""
    store = open_store()
    try:
        done = withdraw(store, Lineage(store), reference, by, reason)
    except LineageError as error:
        raise click.ClickException(str(error)) from error
    entry = done.entry
    click.echo(f"{entry.name}@{entry.version} is recalled: no new consolidation accepts it.")
    for item in done.affected:
        names = ", ".join(item.names) or "not registered"
        click.echo(f"  descends from it: {names} ({item.output[:19]}), owned by {item.owner}")
    if done.owners:
        click.echo(f"Tell: {', '.join(done.owners)}")
