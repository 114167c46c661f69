"""``provost teacher``: who has released what."""

from datetime import UTC, datetime
from pathlib import Path

import click

from lineage.artifacts import Release, parse_manifest
from lineage.author import write_key
from lineage.dsse import SigningKey
from lineage.graph import Lineage
from lineage.mirror import mirror_entry
from lineage.recall import recall as withdraw
from lineage.registry import Registry
from lineage.slots import Entry
from lineage.store import Store, open_store
from lineage.survey import survey
from workflows.commands.export import export_command
from workflows.commands.new_team import new
from workflows.commands.output import complain, say, tabulate, tell_left_out

PREFIX = "teacher."


@click.group()
def teacher() -> None:
    """Teachers in the registry, and the teams that make them."""


teacher.add_command(new)
teacher.add_command(export_command("teacher"))


@teacher.command("list")
def list_teachers() -> None:
    """List every released teacher with its versions."""
    store = open_store()
    found = survey(store, PREFIX)
    rows = []
    for entry in found.entries:
        what = f"{entry.name}@{entry.version}"
        release = found.attempt(what, lambda e=entry: _release(store, e), None)  # type: ignore[misc]
        if release is None:
            continue
        rows.append(
            (
                what.removeprefix(PREFIX),
                ", ".join(found.pointing_at(entry)),
                entry.owner,
                release.kind,
                release.fork_point.digest[7:19],
                entry.created[:16].replace("T", " "),
                found.status(entry),
            )
        )
    if not rows and not found.problems:
        raise click.ClickException(
            f"no teacher is released in {store.uri}: `provost run teacher math` makes one, "
            "`make demo` makes four"
        )
    columns = ("teacher", "aliases", "owner", "kind", "fork point", "released", "status")
    tabulate(columns, rows)
    tell_left_out(found.problems)


def _release(store: Store, entry: Entry) -> Release:
    return parse_manifest(store.get_bytes(entry.digest), Release)


@teacher.command()
@click.argument("reference")
@click.option("--reason", required=True, help="Why; it stays in the record for ever.")
@click.option("--by", required=True, help="Who recalls it.")
def recall(reference: str, reason: str, by: str) -> None:
    """Withdraw a release; list every student that descends from it, with its owner."""
    store = open_store()
    done = withdraw(store, Lineage(store), reference, by, reason)
    entry = done.entry
    mirror_entry(store, entry.name)
    say(f"{entry.name}@{entry.version} is recalled: no new consolidation accepts it.")
    for item in done.affected:
        names = ", ".join(item.names) or "not registered"
        what = item.output[:19] or f"record {item.record[:19]}, whose output cannot be read"
        say(f"  descends from it: {names} ({what}), owned by {item.owner or 'nobody known'}")
    if done.owners:
        say(f"Tell: {', '.join(done.owners)}")
    for told in done.left_out:
        complain(f"  not readable, so descendants may be missing: {told}")


@teacher.command()
@click.argument("reference")
@click.option("--reason", required=True, help="Why; it stays in the record for ever.")
@click.option("--by", required=True, help="Who retires it.")
def retire(reference: str, reason: str, by: str) -> None:
    """Offer a release no longer; students that descend from it stay as they are."""
    store = open_store()
    registry = Registry(store)
    entry = registry.resolve(reference)
    registry.retire(entry.name, entry.version, by=by, reason=reason)
    mirror_entry(store, entry.name)
    say(
        f"{entry.name}@{entry.version} is retired: aliases no longer lead to it, its number still "
        "does. To withdraw what was made from it too, `provost teacher recall`"
    )


@teacher.command()
@click.argument("file", type=click.Path(path_type=Path))
def keygen(file: Path) -> None:
    """Make a signing key: the private half goes to FILE, the public half for the trust root.

    FILE.pub gets the public half as PEM, for verifiers of other projects.
    """
    public_file = file.with_name(f"{file.name}.pub")
    for path in (file, public_file):
        if path.exists():
            raise click.ClickException(f"{path} is there already: a key is never overwritten")
    key = SigningKey.generate()
    write_key(file, key)
    public_file.write_text(key.public_pem(), encoding="ascii")
    say(f"{file} holds the private key; keep it secret. In infra/trust.toml, for your team:")
    say("    [[teams.YOUR-TEAM.keys]]")
    say(f'    public = "{key.public}"')
    say(f'    since = "{datetime.now(UTC).isoformat(timespec="seconds")}"')
