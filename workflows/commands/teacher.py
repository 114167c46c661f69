"""``provost teacher``: released teachers, teams and signing keys."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from pydantic import JsonValue

from lineage.artifacts import Release, parse_manifest
from lineage.dsse import SigningKey
from lineage.registry.known import known_names
from lineage.registry.manifests import KnownManifests
from lineage.registry.registry import Registry
from lineage.registry.slots import Entry
from lineage.registry.survey import Survey, survey
from lineage.store.store import Store, open_store
from lineage.trust.author import write_key
from tasks.platform.views import Mirror
from workflows.commands.documents import Teachers, TeacherVersion
from workflows.commands.import_teacher import import_
from workflows.commands.lock import lock
from workflows.commands.models import export_command, show_command
from workflows.commands.names import promote_entry, recall, with_mirror
from workflows.commands.new_team import new
from workflows.commands.output import as_json, emit, say, tabulate, tell_left_out

PREFIX = "teacher."
_FACTS = "kind and fork_point 1"


@click.group()
def teacher() -> None:
    """Teachers in the registry, and the teams that make them."""


teacher.add_command(new)
teacher.add_command(lock)
teacher.add_command(import_)
teacher.add_command(export_command("teacher"))
teacher.add_command(recall)
teacher.add_command(show_command("teacher"))


@teacher.command("list")
@as_json
def list_teachers(as_document: bool) -> None:
    """List every released teacher with its versions."""
    store = open_store()
    with known_names(store) as known:
        found = survey(store, PREFIX, known)
        versions = list(_versions(found, KnownManifests(store, known.kept, _FACTS)))
    if as_document:
        emit(Teachers(teachers=versions, problems=found.problems))
        raise SystemExit(1 if found.problems else 0)
    if not versions and not found.problems:
        raise click.ClickException(
            f"{store.uri} has no released teacher: run `provost run teacher math` for one, or "
            "`make demo` for four"
        )
    columns = ("teacher", "aliases", "owner", "kind", "fork point", "released", "status")
    # Names are what other commands take: they are never cut.
    tabulate(columns, map(_row, versions), whole=("teacher", "owner"))
    tell_left_out(found.problems)


def _versions(found: Survey, known: KnownManifests) -> Iterator[TeacherVersion]:
    """Yield the versions with a release that can be read; the others are problems."""
    for entry, reference, release in known.each(found, _release):
        yield TeacherVersion(
            reference=reference,
            digest=entry.digest,
            aliases=found.pointing_at(entry),
            owner=entry.owner,
            kind=release["kind"],
            fork_point=release["fork_point"],
            released=entry.created,
            status=found.status(entry),
        )


def _row(version: TeacherVersion) -> tuple[str, ...]:
    return (
        version.reference.removeprefix(PREFIX),
        ", ".join(version.aliases),
        version.owner,
        version.kind,
        version.fork_point[7:19],
        version.released[:16].replace("T", " "),
        version.status,
    )


def _release(store: Store, entry: Entry) -> JsonValue:
    """Return what a list says of a release."""
    release = parse_manifest(store.get_bytes(entry.digest), Release)
    return {"kind": release.kind, "fork_point": release.fork_point.digest}


@teacher.command()
@click.argument("reference")
@click.option("--reason", required=True, help="Why; it stays in the record forever.")
@click.option("--by", required=True, help="Name of the person who retires it.")
@with_mirror
def retire(mirror: Mirror, reference: str, reason: str, by: str) -> None:
    """Stop offering a release; students that descend from it stay valid."""
    store = open_store()
    registry = Registry(store)
    entry = registry.resolve(reference)
    registry.retire(entry.name, entry.version, by=by, reason=reason)
    mirror.add_name(store, entry.name)
    say(
        f"{entry.name}@{entry.version} is retired: aliases no longer resolve to it, its number "
        "does. To withdraw its descendants as well, use `provost teacher recall`"
    )


@teacher.command()
@click.argument("reference")
@click.option("--reason", required=True, help="Why; it stays in the record forever.")
@click.option("--by", required=True, help="Name of the person who promotes it.")
@with_mirror
def promote(mirror: Mirror, reference: str, reason: str, by: str) -> None:
    """Release a candidate that does not beat its fork point, such as math@3."""
    promote_entry(mirror, PREFIX, reference, by, reason)


@teacher.command()
@click.argument("file", type=click.Path(path_type=Path))
def keygen(file: Path) -> None:
    """Create a signing key: write the private half to FILE and print the public half.

    The public half belongs in the trust root. FILE.pub holds it as PEM, for other verifiers.
    """
    public_file = file.with_name(f"{file.name}.pub")
    for path in (file, public_file):
        if path.exists():
            raise click.ClickException(
                f"{path} exists, and keys are never overwritten: choose another file"
            )
    key = SigningKey.generate()
    write_key(file, key)
    public_file.write_text(key.public_pem(), encoding="ascii")
    say(f"{file} holds the private key; keep it secret. In infra/trust.toml, for your team:")
    say("    [[teams.YOUR-TEAM.keys]]")
    say(f'    public = "{key.public}"')
    say(f'    since = "{datetime.now(UTC).isoformat(timespec="seconds")}"')
