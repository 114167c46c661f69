"""``provost teacher``: who has released what."""

import os
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from lineage.artifacts import Release, parse_manifest
from lineage.errors import LineageError
from lineage.graph import Lineage
from lineage.recall import recall as withdraw
from lineage.registry import Registry
from lineage.signing import generate_key, sign, signing_key
from lineage.store import open_store
from tasks.progress import plain
from workflows.commands.new_team import new

PREFIX = "teacher."


@click.group()
def teacher() -> None:
    """Teachers in the registry, and the teams that make them."""


teacher.add_command(new)


@teacher.command("list")
def list_teachers() -> None:
    """List every released teacher with its versions."""
    store = open_store()
    registry = Registry(store)
    table = Table(box=None, pad_edge=False)
    for column in ("teacher", "aliases", "owner", "kind", "fork point", "released", "status"):
        table.add_column(column, overflow="fold")
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
        what = item.output[:19] or f"record {item.record[:19]}, whose output cannot be read"
        click.echo(f"  descends from it: {names} ({what}), owned by {item.owner or 'nobody known'}")
    if done.owners:
        click.echo(f"Tell: {', '.join(done.owners)}")
    for told in done.left_out:
        click.echo(f"  not readable, so descendants may be missing: {plain(told)}", err=True)


@teacher.command()
@click.argument("reference")
@click.option("--reason", required=True, help="Why; it stays in the record for ever.")
@click.option("--by", required=True, help="Who retires it.")
def retire(reference: str, reason: str, by: str) -> None:
    """Offer a release no longer; students that descend from it stay as they are."""
    registry = Registry(open_store())
    try:
        entry = registry.resolve(reference)
        registry.retire(entry.name, entry.version, by=by, reason=reason)
    except LineageError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{entry.name}@{entry.version} is retired: aliases no longer lead to it, its number still "
        "does. To withdraw what was made from it too, `provost teacher recall`"
    )


@teacher.command("sign")
@click.argument("reference")
def sign_entry(reference: str) -> None:
    """Sign a registered version with the key in $PROVOST_SIGNING_KEY (or .._FILE)."""
    store = open_store()
    try:
        key = signing_key()
        if not key:
            raise click.ClickException(
                "no private key: set PROVOST_SIGNING_KEY to it in PEM, or PROVOST_SIGNING_KEY_FILE "
                "to its file; `provost teacher keygen FILE` makes one"
            )
        entry = Registry(store).resolve(reference)
        envelope = sign(store, entry, key)
    except LineageError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{entry.name}@{entry.version} is signed: envelope {envelope}")


@teacher.command()
@click.argument("file", type=click.Path(path_type=Path))
def keygen(file: Path) -> None:
    """Make a signing key: the private half goes to FILE, the public half for the trust root."""
    if file.exists():
        raise click.ClickException(f"{file} is there already: a key is never overwritten")
    private, public = generate_key()
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(private)
    click.echo(f"{file} holds the private key; keep it secret. In infra/trust.toml, for your team:")
    click.echo(f'    [[teams.YOUR-TEAM.keys]]\n    public = "{public}"')
    click.echo(f'    since = "{datetime.now(UTC).isoformat(timespec="seconds")}"')
