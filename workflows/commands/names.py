"""Changes of names by hand: a candidate is promoted, a release recalled, with person and reason.

Such commands show what they change in MLflow, or in the mirror that a caller of ``main`` passes.
"""

import functools
import shlex
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import click

from lineage.artifacts import Artifact, Release, parse_manifest
from lineage.graph.graph import Lineage
from lineage.operations.recall import Recall, consequences, refuse_recalled_family
from lineage.operations.recall import recall as withdraw
from lineage.records.record import Records
from lineage.registry.names import STUDENT
from lineage.registry.registry import Registry
from lineage.rules.evidence import Evidence, refuse_broken
from lineage.rules.table import check
from lineage.store.store import open_store
from tasks.contracts.publication import RELEASED
from tasks.platform.views import Mirror, MlflowMirror
from tasks.release.gain import LEAST_SCORE, gain_of
from workflows.commands.output import agreed, complain, say

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def with_mirror(
    command: Callable[Concatenate[Mirror, Parameters], Result],
) -> Callable[Parameters, Result]:
    """Give a command the mirror as its first argument: click's context object, or else MLflow."""

    @functools.wraps(command)
    def mirrored(*args: Parameters.args, **inputs: Parameters.kwargs) -> Result:
        passed: Mirror | None = click.get_current_context().find_root().obj
        return command(passed or MlflowMirror(), *args, **inputs)

    return mirrored


def promote_entry(mirror: Mirror, prefix: str, reference: str, by: str, reason: str) -> None:
    """Point ``released`` at a version of a name that begins with ``prefix``.

    Its records must still hold together, and nothing behind it may be recalled.

    Raises:
        LineageError: for a version that may not be released.
        ClickException: for a reference of another kind, or an empty reason.
    """
    store = open_store()
    registry = Registry(store)
    entry = registry.resolve(reference)
    if not entry.name.startswith(prefix):
        raise click.ClickException(f"{reference!r} is {entry.name}, not a {prefix}* name")
    if not reason.strip():
        raise click.ClickException("a promotion needs a reason for the record: give --reason")
    before = registry.aliases(entry.name).get(RELEASED)
    what = f"{entry.name}@{entry.version}"
    if before == entry.version:
        raise click.ClickException(f"{entry.name}@{RELEASED} is version {before} already")
    made = Records(store).read(entry.record)
    refuse_broken(what, list(check(Evidence(store), made, entry.digest)))
    artifact = Artifact(kind=entry.kind, digest=entry.digest, record=entry.record)
    refuse_recalled_family(store, [artifact])
    registry.point(entry.name, RELEASED, entry.version, by=by, reason=reason)
    mirror.add_name(store, entry.name)
    say(f"{entry.name}@{RELEASED} is version {entry.version}; it was {before or 'none'}")


def told_of_candidate(made: Artifact) -> list[str]:
    """Return why a teacher stays a candidate and how to release it; nothing if released."""
    store = open_store()
    registry = Registry(store)
    entry = registry.resolve(made.digest)
    if registry.aliases(entry.name).get(RELEASED) == entry.version:
        return []
    gain = gain_of(store, parse_manifest(store.get_bytes(made.digest), Release))
    attested = Records(store).output(entry.record)
    least_score = float(str(attested.notes.get(LEAST_SCORE, 0.0))) if attested else 0.0
    what = f"{entry.name.removeprefix('teacher.')}@{entry.version}"
    why = gain.unmet(least_score) or "it is good enough, and a person moved `released` elsewhere"
    return [
        f"{what} stays a candidate: {why}. Its gain is {gain}. To release it all the same:",
        f"  provost teacher promote {what} --by YOU --reason '...'",
    ]


@click.command()
@click.argument("reference")
@click.option("--reason", required=True, help="Why; it stays in the record forever.")
@click.option("--by", required=True, help="Name of the person who recalls it.")
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
@with_mirror
def recall(mirror: Mirror, reference: str, reason: str, by: str, yes: bool) -> None:
    """Withdraw a release permanently; list the students that descend from it, with owners."""
    store = open_store()
    lineage = Lineage(store)
    found = consequences(store, lineage, reference)
    what = f"{found.entry.name}@{found.entry.version}"
    _show(found)
    if not yes and not agreed(f"Recall {what}? It cannot be undone"):
        raise click.ClickException(
            "nothing was recalled, because it was not confirmed: answer y, or use --yes in scripts"
        )
    done = withdraw(store, lineage, reference, by, reason)
    mirror.add_name(store, done.entry.name)
    say(f"{what} is recalled: no new consolidation accepts it.")
    if done.owners:
        say(f"Notify: {', '.join(done.owners)}")
    _offer(done, by, f"{what} was recalled: {reason}")


def _show(found: Recall) -> None:
    for item in found.affected:
        names = ", ".join(item.names) or "not registered"
        what = item.output[:19] or f"record {item.record[:19]} (its output cannot be read)"
        say(f"  descends from it: {names} ({what}), owned by {item.owner or 'unknown'}")
    for alias in found.pointing:
        say(f"  {alias.name}@{alias.alias} points at version {alias.version}")
    for told in found.left_out:
        complain(f"  not readable, so descendants may be missing: {told}")


def _offer(done: Recall, by: str, reason: str) -> None:
    """Print how to roll back each student alias that points at an affected version."""
    for alias in done.pointing:
        if not alias.name.startswith(STUDENT) or alias.alias != "released":
            continue
        if not alias.rollback:
            say(
                f"{alias.name} has no unaffected earlier version: make a new one with `provost run "
                "consolidation`"
            )
            continue
        words = ["provost", "student", "rollback", alias.rollback, "--by", by, "--reason", reason]
        say(f"To roll back {alias.name}@{alias.alias}: {shlex.join(words)}")
