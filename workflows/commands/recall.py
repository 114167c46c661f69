"""``provost teacher recall``: shows affected students, asks to confirm, suggests rollbacks."""

import shlex

import click

from lineage.graph.graph import Lineage
from lineage.operations.recall import Recall, consequences
from lineage.operations.recall import recall as withdraw
from lineage.registry.names import STUDENT
from lineage.store.store import open_store
from tasks.platform.views import Mirror
from workflows.commands.mirrored import with_mirror
from workflows.commands.output import agreed, complain, say


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
