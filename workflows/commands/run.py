"""``provost run``: the workflows, by Flyte's local execution.

A consolidation may stop at its plan and cost (``--dry-run``). Its launch may come from a TOML file
(``--config``), and be written to one (``--save-config``).
"""

import os
import time
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
import tomli_w

from lineage.registry.registry import check_may_publish
from lineage.store.store import open_store
from lineage.view.summary import summary_of
from tasks.contracts.inputs import InputError
from tasks.contracts.refusal import RefusedError
from tasks.model.settings import Precision
from tasks.mopd.launch_form import MORE, PRESET, LaunchForm, launch_spec
from tasks.mopd.round_form import LARGEST_SEED
from tasks.sft.settings import FoundationPreset
from workflows.commands.documents import DryRun, EstimateLine, PlanFinding
from workflows.commands.faculty import team_module
from workflows.commands.gate import inputs_of_request
from workflows.commands.local import quiet, run_locally
from workflows.commands.models import conclude
from workflows.commands.names import told_of_candidate
from workflows.commands.options import (
    Member,
    chosen,
    inputs_of_options,
    options_of_form,
    saved_precision,
)
from workflows.commands.output import as_json, emit, say
from workflows.commands.recipe import run_recipe
from workflows.consolidation.workflow import FLOWS, PRESETS
from workflows.foundation import foundation as foundation_workflow


@click.group()
def run() -> None:
    """Run a workflow on this machine."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise click.ClickException(
            "provost is one process, and a launcher such as torchrun has started several, each of "
            "which would run every step: start it alone. A registered workflow gets its ranks from "
            "its flavor (gpus, nodes)"
        )


run.add_command(run_recipe)


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
@click.option(
    "--preset",
    type=Member(FoundationPreset),
    help="Numbers of the shared SFT.  [default: instruct with --model, else from-scratch]",
)
@click.option("--sft-steps", type=click.IntRange(1), help="Optimizer steps of the shared SFT.")
@click.option("--sft-batch-size", type=click.IntRange(1), help="Rows per optimizer step.")
@click.option("--sft-learning-rate", type=float, help="Peak learning rate.")
@click.option("--sft-warmup-steps", type=click.IntRange(0), help="Steps to the peak learning rate.")
@saved_precision
def foundation(
    model: str,
    seed: int,
    preset: FoundationPreset | None,
    saved_precision: Precision,
    **numbers: float | None,
) -> None:
    """Make the base and the fork point."""
    quiet()
    usual = FoundationPreset.INSTRUCT if model else FoundationPreset.FROM_SCRATCH
    given = chosen(numbers)
    given |= {"preset": preset or usual, "saved_precision": saved_precision}
    made = run_locally(foundation_workflow, model=model, seed=seed, **given)
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
@click.option(
    "--reviewed",
    "flow",
    flag_value="consolidate_reviewed",
    help="Require approval of the plan before training.",
)
@click.option(
    "--refreshed",
    "flow",
    flag_value="consolidate_refreshed",
    help="Have every teacher climb again from the student, and merge those into it.",
)
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
    flow: str | None,
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
    made = run_locally(FLOWS[flow or "consolidate"], **inputs)
    took = time.monotonic() - started
    conclude(summary_of(open_store(), made.student.digest, took), as_document)


def dry_run(inputs: Mapping[str, Any], as_document: bool) -> bool:
    """Print the plan of a launch and what it will take; return whether it may be launched.

    The plan is stored, so that ``provost waive`` can accept its findings. No launch is recorded.

    Raises:
        LineageError: for a reference that names nothing.
        MisfitError: if a reference is not a teacher.
    """
    from tasks.gate.decision import MisfitError, decide
    from tasks.gate.forecast import refuse_what_cannot_run
    from tasks.gate.plan import propose
    from tasks.gate.plan_page import plan_text
    from tasks.gate.task import cost_of
    from tasks.platform.step_runner import StepRunner

    launch = launch_spec(inputs)
    runner = StepRunner()
    check_may_publish(runner.store, f"student.{launch.spec.publish_as}")
    plan = propose(runner, inputs["teachers"], inputs["student"], launch.spec.sampling)
    cost = cost_of(
        runner, plan, launch.workload, launch.gate, launch.spec.sampling, launch.ladder_stages
    )
    refusal = ""
    try:  # in the order of a real run, which ends at the first
        refuse_what_cannot_run(runner, plan, cost)
        decide(runner, plan, launch.gate.refuse_findings_from, inputs["waivers"])
    except (MisfitError, RefusedError) as error:
        refusal = str(error)
    assert plan.artifact is not None
    if as_document:
        emit(
            DryRun(
                plan=plan.artifact.digest,
                student=plan.student.digest,
                teachers={teacher.name: teacher.reference for teacher in plan.teachers},
                findings=[
                    PlanFinding(
                        subject=note.subject,
                        code=note.code,
                        severity=note.severity,
                        evidence=note.evidence,
                        next_step=note.next_step,
                    )
                    for note in plan.notes
                ],
                estimates=[EstimateLine(name=name, value=value) for name, value in cost.lines()],
                refusal=refusal,
            )
        )
    else:
        for line in plan_text(plan, cost, launch.spec.conditions).splitlines():
            say(line)
        say()
        say(refusal or "Nothing was trained. Run the same command without --dry-run to launch it.")
    return not refusal


_HEADER = (
    "# A launch of a consolidation. Repeat it: provost run consolidation --config FILE\n"
    "# References such as math@released are resolved at each launch; math@3 fixes a version.\n"
)
_NAMES = {PRESET, *LaunchForm.model_fields, *MORE}


def read_launch(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the preset that a launch file names, or "", and the inputs that it gives.

    Raises:
        InputError: the file cannot be read, or a name in it is unknown.
    """
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    for name in given:
        if name not in _NAMES:
            near = get_close_matches(name, _NAMES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "docs/guides/launch-form.md lists all"
            raise InputError(f"{path} gives the unknown input {name!r}: {hint}")
    preset = given.pop(PRESET, "")
    if preset and preset not in PRESETS:
        raise InputError(f"{path} names the unknown preset {preset!r}: one of {sorted(PRESETS)}")
    return str(preset), given


def write_launch(path: Path, inputs: Mapping[str, Any]) -> None:
    """Write a launch with the value of each input, so that later defaults do not change it."""
    values = _form(inputs).model_dump(mode="json")
    path.write_text(_HEADER + tomli_w.dumps(values), "utf-8")


def inputs_of_launch(
    preset: str, config: Path | None, given: Mapping[str, object]
) -> dict[str, Any]:
    """Return the inputs of a launch: options over the file, the file over the preset.

    Raises:
        InputError: for an input or a setting that is invalid.
    """
    from_file: dict[str, Any] = {}
    if config:
        named, from_file = read_launch(config)
        preset = preset or named
    inputs = inputs_of_options(from_file, MORE, PRESETS.get(preset, {}))
    inputs = inputs_of_options(given, MORE, inputs)
    form = _form(inputs)
    return {name: getattr(form, name) for name in inputs}


def _form(inputs: Mapping[str, Any]) -> LaunchForm:
    launch_spec(inputs)  # whatever is invalid is refused under its name
    return LaunchForm.model_validate(dict(inputs))
