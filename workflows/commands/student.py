"""``provost student``: published students, their versions and aliases."""

from collections.abc import Collection, Iterator

import click
from pydantic import JsonValue

from lineage.artifacts import Student, parse_manifest
from lineage.registry.known import known_names
from lineage.registry.manifests import KnownManifests
from lineage.registry.registry import Registry
from lineage.registry.slots import Entry
from lineage.registry.survey import Survey, survey
from lineage.store.store import Store, open_store
from tasks.platform.views import Mirror
from workflows.commands.documents import AliasMove, Moves, Students, StudentVersion
from workflows.commands.models import export_command, show_command, weights
from workflows.commands.names import promote_entry, with_mirror
from workflows.commands.output import as_json, emit, say, tabulate, tell_left_out

PREFIX = "student."
_FACTS = "teachers and waivers 1"
RELEASED = "released"


@click.group()
def student() -> None:
    """Published students in the registry."""


student.add_command(export_command("student"))
student.add_command(show_command("student"))
student.add_command(weights)


@student.command("list")
@as_json
def list_students(as_document: bool) -> None:
    """List published students with teachers, waivers and aliases."""
    store = open_store()
    with known_names(store) as known:
        found, teachers = survey(store, PREFIX, known), survey(store, "teacher.", known)
        recalled = {
            f"{name}@{version}"
            for (name, version), status in teachers.statuses.items()
            if status == "recalled"
        }
        versions = list(_versions(found, KnownManifests(store, known.kept, _FACTS), recalled))
    if as_document:
        emit(Students(students=versions, problems=found.problems))
        raise SystemExit(1 if found.problems else 0)
    if not versions and not found.problems:
        raise click.ClickException(
            f"{store.uri} has no published student: run `provost run consolidation` first"
        )
    columns = ("student", "aliases", "teachers", "waivers", "published", "status")
    # The name is what other commands take: it is never cut.
    tabulate(columns, map(_row, versions), whole=("student",))
    tell_left_out(found.problems)


def _versions(
    found: Survey, known: KnownManifests, recalled: Collection[str]
) -> Iterator[StudentVersion]:
    """Yield the versions with a manifest that can be read; the others are problems."""
    for entry, reference, manifest in known.each(found, _manifest):
        yield StudentVersion(
            reference=reference,
            digest=entry.digest,
            aliases=found.pointing_at(entry),
            teachers=manifest["teachers"],
            waivers=manifest["waivers"],
            published=entry.created,
            status=found.status(entry),
            recalled_teachers=[name for name in manifest["teachers"] if name in recalled],
        )


def _row(version: StudentVersion) -> tuple[str | list[str], ...]:
    return (
        version.reference,
        version.aliases,
        _short(version.teachers),
        str(len(version.waivers) or ""),
        version.published[:16].replace("T", " "),
        [version.status, *(f"{name} recalled" for name in _short(version.recalled_teachers))],
    )


def _short(references: list[str]) -> list[str]:
    return [reference.removeprefix("teacher.") for reference in references]


def _manifest(store: Store, entry: Entry) -> JsonValue:
    """Return what a list says of a student."""
    student = parse_manifest(store.get_bytes(entry.digest), Student)
    teachers: list[JsonValue] = [share.reference for share in student.teachers]
    return {"teachers": teachers, "waivers": [*student.waivers]}


@student.command()
@click.argument("reference")
@click.option("--reason", required=True, help="Why; it stays in the record forever.")
@click.option("--by", required=True, help="Name of the person who rolls back.")
@with_mirror
def rollback(mirror: Mirror, reference: str, reason: str, by: str) -> None:
    """Point `released` at REFERENCE, such as student.general@3; nothing is deleted."""
    store = open_store()
    registry = Registry(store)
    entry = registry.resolve(reference)
    if not entry.name.startswith(PREFIX):
        raise click.ClickException(
            f"{reference!r} is {entry.name}, not a student: give a student, such as "
            "student.general@2"
        )
    before = registry.aliases(entry.name).get(RELEASED)
    if before == entry.version:
        raise click.ClickException(f"{entry.name}@{RELEASED} is version {before} already")
    registry.point(entry.name, RELEASED, entry.version, by=by, reason=reason)
    mirror.add_name(store, entry.name)
    say(f"{entry.name}@{RELEASED} is version {entry.version}; it was {before}")


@student.command()
@click.argument("reference")
@click.option("--reason", required=True, help="Why; it stays in the record forever.")
@click.option("--by", required=True, help="Name of the person who promotes it.")
@with_mirror
def promote(mirror: Mirror, reference: str, reason: str, by: str) -> None:
    """Release a candidate that fails the release conditions, such as student.general@3."""
    promote_entry(mirror, PREFIX, reference, by, reason)


@student.command()
@click.argument("name", default="student.general")
@as_json
def moves(name: str, as_document: bool) -> None:
    """List past moves of NAME's aliases: time, person and reason."""
    registry = Registry(open_store())
    students = [known for known in registry.names() if known.startswith(PREFIX)]
    if name not in students:
        raise click.ClickException(f"no student is called {name!r}; there are: {students}")
    made = registry.moves(name)
    if as_document:
        emit(Moves(name=name, moves=[AliasMove(**move.model_dump()) for move in made]))
        return
    for move in made:
        why = f": {move.reason}" if move.reason else ""
        say(f"{move.at[:19]}  {move.alias} -> {move.version}  by {move.by}{why}")
