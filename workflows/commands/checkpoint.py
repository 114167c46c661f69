"""``provost checkpoint``: models of your own."""

import click

from workflows.commands.local import quiet, run_locally
from workflows.commands.output import say
from workflows.foundation import import_checkpoint

ROLES = ("base", "fork-point")


@click.group()
def checkpoint() -> None:
    """Register a model of your own as base or fork point."""


@checkpoint.command("import")
@click.argument("source")
@click.option(
    "--as",
    "role",
    type=click.Choice(ROLES),
    default="fork-point",
    show_default=True,
    help="Name under which it is registered.",
)
def import_(source: str, role: str) -> None:
    """Register SOURCE, a Hugging Face folder or ID[@REVISION], without training.

    The files are copied into the store and hashed; a Hub id is resolved to its commit, and the
    stated license is recorded.
    """
    quiet()
    made = run_locally(import_checkpoint, source=source, name=role)
    say(f"{role}@released is {made.fork_point.digest}")
    if role == "fork-point":
        say("Teams climb from it now: provost run teacher TEAM")
