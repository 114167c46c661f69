"""``provost run``: the workflows, by Flyte's local execution."""

import importlib
import pkgutil
from types import ModuleType

import click

from tasks.mopd.settings import Divergence
from workflows.commands.local import quiet, run_locally
from workflows.consolidation.workflow import TEACHERS, consolidate
from workflows.foundation import foundation as foundation_workflow


@click.group()
def run() -> None:
    """Run a workflow on this machine."""


@run.command()
@click.option("--model", default="", help="A Hugging Face model by path or id; else from scratch.")
@click.option("--seed", default=0, show_default=True)
def foundation(model: str, seed: int) -> None:
    """Make the base and the fork point."""
    quiet()
    made = run_locally(foundation_workflow, model=model, seed=seed)
    click.echo(f"fork-point@released is {made.digest}")


@run.command()
@click.argument("team")
@click.option("--fork-point", default="fork-point@released", show_default=True)
@click.option("--seed", default=0, show_default=True)
def teacher(team: str, fork_point: str, seed: int) -> None:
    """Climb and release the teacher of TEAM, or of a package of your own (a dotted name)."""
    quiet()
    module = team_module(team)
    made = run_locally(module.climb, fork_point=fork_point, seed=seed)
    click.echo(f"{team} is released as {made.digest}")


@run.command()
@click.option("--teachers", default="", help="Comma-separated, such as math@released,code@3.")
@click.option("--student", default="fork-point@released", show_default=True)
@click.option(
    "--divergence",
    type=click.Choice(["full_vocabulary", "sampled_token"]),
    default="full_vocabulary",
    show_default=True,
)
@click.option("--steps", default=120, show_default=True, help="MOPD steps.")
@click.option("--learning-rate", default=3e-4, show_default=True)
@click.option("--outcome-weight", default=0.0, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--publish-as", default="general", show_default=True)
def consolidation(  # noqa: PLR0917 - one option for each input of the launch form
    teachers: str,
    student: str,
    divergence: str,
    steps: int,
    learning_rate: float,
    outcome_weight: float,
    seed: int,
    publish_as: str,
) -> None:
    """Merge released teachers into a student, beside its controls, and publish it."""
    quiet()
    made = run_locally(
        consolidate,
        teachers=[name.strip() for name in teachers.split(",")] if teachers else TEACHERS,
        student=student,
        divergence=Divergence(divergence),
        mopd_steps=steps,
        learning_rate=learning_rate,
        outcome_weight=outcome_weight,
        seed=seed,
        publish_as=publish_as,
    )
    click.echo(f"student.{publish_as}@released is {made.student.digest}")


def teams() -> list[str]:
    """Return the teams that have a folder here."""
    package = importlib.import_module("workflows.teachers")
    return sorted(found.name for found in pkgutil.iter_modules(package.__path__) if found.ispkg)


def team_module(team: str) -> ModuleType:
    """Return the module that holds a team's ``climb``."""
    if "." not in team and team not in teams():
        raise click.ClickException(
            f"there is no team {team!r}: the teams here are {', '.join(teams())}; a package of "
            "your own is named with its dots, such as acme.poetry"
        )
    name = f"{team if '.' in team else f'workflows.teachers.{team}'}.workflow"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{name} cannot be imported ({error}): a team's package has a workflow.py with a "
            "workflow called climb, and lies on the Python path"
        ) from error
