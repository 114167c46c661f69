"""``provost run``: the workflows, by Flyte's local execution."""

import time
from pathlib import Path

import click

from lineage.store.store import open_store
from lineage.view.summary import summary_of
from tasks.contracts.inputs import InputError
from tasks.mopd.launch_form import MORE, LaunchForm
from tasks.mopd.round_form import LARGEST_SEED
from workflows.commands.climb_again import inputs_of_request
from workflows.commands.dry_run import dry_run
from workflows.commands.faculty import team_module
from workflows.commands.launch_file import inputs_of_launch, write_launch
from workflows.commands.local import quiet, run_locally
from workflows.commands.options import chosen, options_of_form
from workflows.commands.output import as_json, say
from workflows.commands.promote import told_of_candidate
from workflows.commands.summary import conclude
from workflows.consolidation.launch_plans import PRESETS
from workflows.consolidation.workflow import consolidate, consolidate_reviewed
from workflows.foundation import foundation as foundation_workflow


@click.group()
def run() -> None:
    """Run a workflow on this machine."""


@run.command()
@click.option(
    "--model", default="", help="Path or id of a Hugging Face model; default from scratch."
)
@click.option(
    "--seed",
    type=click.IntRange(0, LARGEST_SEED),
    default=0,
    show_default=True,
    help="Random seed for the base, the data and the shared SFT.",
)
def foundation(model: str, seed: int) -> None:
    """Make the base and the fork point."""
    quiet()
    made = run_locally(foundation_workflow, model=model, seed=seed)
    say(f"fork-point@released is {made.fork_point.digest}")


@run.command()
@click.argument("team")
@click.option("--fork-point", help="Initial checkpoint.  [default: fork-point@released]")
@click.option(
    "--seed", type=click.IntRange(0, LARGEST_SEED), help="Random seed for the climb.  [default: 0]"
)
@click.option("--request", help="Digest or file of the gate's request to climb again.")
@as_json
def teacher(
    team: str, fork_point: str | None, seed: int | None, request: str | None, as_document: bool
) -> None:
    """Climb and release the teacher of TEAM, or of a package of your own (a dotted name)."""
    quiet()
    started = time.monotonic()
    inputs = chosen({"fork_point": fork_point, "seed": seed})
    if request and inputs:
        raise click.ClickException(
            f"--request already sets the inputs {sorted(inputs)}: drop either them or --request"
        )
    module = team_module(team)
    if request:
        inputs = inputs_of_request(team, request)
    made = run_locally(module.climb, **inputs)
    took = time.monotonic() - started
    conclude(summary_of(open_store(), made.release.digest, took), as_document)
    if not as_document:
        for line in told_of_candidate(made.release):
            say(line)


@run.command(params=options_of_form(LaunchForm, MORE))
@click.option(
    "--preset", type=click.Choice(sorted(PRESETS)), help="Start from a preset's defaults."
)
@click.option("--reviewed", is_flag=True, help="Require approval of the plan before training.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="TOML file of a launch; other options override it.",
)
@click.option(
    "--save-config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write this launch to a TOML file.",
)
@click.option("--dry-run", "stops_at_plan", is_flag=True, help="Stop after the plan and its cost.")
@as_json
def consolidation(
    preset: str | None,
    reviewed: bool,
    config: Path | None,
    save_config: Path | None,
    stops_at_plan: bool,
    as_document: bool,
    **given: object,
) -> None:
    """Merge released teachers into a student, evaluate it against controls, and publish it."""
    quiet()
    started = time.monotonic()
    try:
        inputs = inputs_of_launch(preset or "", config, given)
        if save_config:
            write_launch(save_config, inputs)
    except (InputError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if stops_at_plan:
        if not run_locally(dry_run, LaunchForm(**inputs).model_dump(), as_document):
            raise SystemExit(1)
        return
    made = run_locally(consolidate_reviewed if reviewed else consolidate, **inputs)
    took = time.monotonic() - started
    conclude(summary_of(open_store(), made.student.digest, took), as_document)
