"""``provost checkpoint``: models of your own."""

import click
from pydantic import JsonValue

from lineage.records.record import Records
from lineage.store.store import open_store
from tasks.model.settings import StoredAs
from workflows.commands.local import quiet, run_locally
from workflows.commands.options import stored_as
from workflows.commands.output import say
from workflows.foundation import import_checkpoint

ROLES = ("base", "fork-point")
_TOLD = {
    "license": "license",
    "part": "kept",
    "saved": "saved as",
    "template": "chat template",
    "trimmed_rows": "rows without a token, removed",
}
"""Notes of the record that a person should read, each with its words."""


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
@click.option(
    "--license", "license", default="", help="License of the model, if its files do not state it."
)
@stored_as
def import_(source: str, role: str, license: str, saved_precision: StoredAs) -> None:
    """Register SOURCE, a Hugging Face folder or ID[@REVISION], without training.

    The files are copied into the store and hashed; a Hub id is resolved to its commit, and the
    license is recorded, as unknown where neither files nor --license state one.
    """
    quiet()
    made = run_locally(
        import_checkpoint,
        source=source,
        name=role,
        license=license,
        saved_precision=saved_precision,
    ).fork_point
    say(f"{role}@released is {made.digest}")
    noted = Records(open_store()).output(made.record)
    for name, value in (noted.notes if noted else {}).items():
        if name in _TOLD:
            say(f"  {_TOLD[name]}: {told_note(value)}")
    if role == "fork-point":
        say("Teams climb from it now: provost run teacher TEAM")


def told_note(value: JsonValue) -> str:
    """Return a note as words; a pair of numbers is a range."""
    if isinstance(value, dict):
        return ", ".join(
            f"{name} {part:.2%} of the weights' norm" if isinstance(part, float) else f"{part}"
            for name, part in value.items()
        )
    if isinstance(value, list):
        return " to ".join(str(part) for part in value)
    return str(value)
