"""What a new team starts with, as the command line says it, tried before it is written."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypedDict

import click
from pydantic import JsonValue

from lineage.store.store import Store, open_store
from lineage.wheels import LOCK, wheel_in, write_lock
from tasks.contracts.refusal import RefusedError
from tasks.rollout.client import Episode
from tasks.rollout.data_file import DataColumns
from tasks.rollout.environment import SPLITS, Demonstration, Turn
from tasks.rollout.foreign import cut
from tasks.rollout.prompts import read_demonstrations, read_prompts
from tasks.rollout.worker.bundle import DATA, bundle_of, check
from tasks.rollout.worker.client import EnvironmentWorker
from workflows.commands.lock import lock_requirements
from workflows.commands.output import say
from workflows.commands.starter import SPELLING, Starter
from workflows.commands.starter_data import data_starter
from workflows.commands.starter_gym import gym_starter
from workflows.commands.starter_numbers import turn_limit
from workflows.commands.starter_openenv import openenv_starter

_GYM = "reasoning-gym"
_OPENENV = "openenv"
_NUM_TRIED = 5
_NUM_MEASURED = 64
"""Demonstrations of a team that makes them, of which the longest is looked for."""
_NUM_SHOWN = 5
_LONGEST_SHOWN = 60
_RIGHT = 0.99
"""Scorers of packages give 1 for a right answer, up to rounding."""


class Chosen(TypedDict):
    """Options of ``provost teacher new``."""

    data: Path | None
    evaluation_data: Path | None
    grader: str | None
    prompt_column: str
    answer_column: str
    environment: str
    config: Sequence[str]
    requires: Sequence[str]
    allow_executing: bool
    find_links: Path | None


def starter_of(chosen: Chosen) -> tuple[Starter, list[str]]:
    """Return what the options choose, and what is to be said of it.

    Raises:
        click.UsageError: for options that do not go together.
        RefusedError: see ``data_starter`` and ``gym_starter``.
    """
    if chosen["data"] and chosen["environment"]:
        raise click.UsageError("--data and --environment both say what is asked: give one of them")
    if bool(chosen["data"]) != bool(chosen["grader"]):
        raise click.UsageError(
            "--data says what is asked and --grader how answers are compared: give both"
        )
    if chosen["data"] and chosen["grader"]:
        columns = DataColumns(chosen["prompt_column"], chosen["answer_column"])
        return data_starter(chosen["data"], chosen["grader"], columns, chosen["evaluation_data"])
    if chosen["environment"]:
        package, _, family = chosen["environment"].partition(":")
        if package == _OPENENV:
            module, _, kind = family.rpartition(":")
            return openenv_starter(module, kind, chosen["requires"]), []
        if package != _GYM or not family:
            raise RefusedError(
                "unknown-environment",
                f"{chosen['environment']!r} is not an environment that a team can be made of: give "
                f"{_GYM}:FAMILY, such as {_GYM}:chain_sum, or {_OPENENV}:MODULE:CLASS, or write "
                "environment.py yourself",
            )
        config = dict(map(_setting, chosen["config"]))
        return gym_starter(family, config, allow_executing=chosen["allow_executing"]), []
    return SPELLING, []


def write_starter(
    folder: Path, starter: Starter, team: str, package: str, links: Path | None
) -> None:
    """Write the folder of a team, with its packages locked and its grader tried.

    Raises:
        RefusedError: for packages that cannot be locked, and an answer that is graded wrong.
    """
    folder.mkdir(parents=True)
    for name, text in starter.folder(team, package).items():
        (folder / name).write_text(text, encoding="utf-8")
    if starter.write_prompts:
        starter.write_prompts(folder / DATA)
    if starter is SPELLING:
        return
    store = open_store()
    if starter.requirements:
        requirements = folder / "requirements.txt"
        made = lock_requirements(
            requirements, store, links=links, dependencies=starter.dependencies
        )
        (folder / LOCK).write_bytes(write_lock(made))
    shown = _try(folder, store, team, least=_RIGHT if starter.shows_right else 0.0)
    limit = turn_limit(store, shown)
    say(f"  {limit.says}")
    settings = starter.folder(team, package, limit.max_new_tokens)["settings.py"]
    (folder / "settings.py").write_text(settings, encoding="utf-8")


def _try(folder: Path, store: Store, team: str, least: float) -> list[Demonstration]:
    """Have the worker grade the right answer of each question in a file, or of a few others.

    Returns all demonstrations of the files, or some that the team makes.
    """
    with tempfile.TemporaryDirectory(prefix="provost-") as name:
        bundle = bundle_of(folder, Path(name, team), partial(wheel_in, store))
        check(bundle)
        with EnvironmentWorker(bundle, domain=team) as worker:
            episodes = list(_right(folder / DATA, worker))
            grades = worker.grade(episodes)
            worker.refuse_network()
            demonstrations = _shown(folder / DATA, worker)
    wrong = [e for e, grade in zip(episodes, grades, strict=True) if grade.score < least]
    if wrong:
        shown = "; ".join(
            f"{each.prompt.id}: {cut(each.turns[-1].content, _LONGEST_SHOWN)!r}"
            for each in wrong[:_NUM_SHOWN]
        )
        raise RefusedError(
            "unusable-answer",
            f"the grader does not take {len(wrong)} of {len(episodes)} right answers ({shown}; an "
            "id of a data file ends with the line): responses to these would be graded 0 for "
            "ever. Correct or remove these rows, or choose another grader",
        )
    return demonstrations


def _shown(data: Path, worker: EnvironmentWorker) -> list[Demonstration]:
    if data.is_dir():
        return read_demonstrations(data / "demonstrations.jsonl")
    return list(worker.demonstrations(_NUM_MEASURED, 0))


def _right(data: Path, worker: EnvironmentWorker) -> Iterator[Episode]:
    """Yield episodes that are right by the data: all of a file, or a few that the team makes."""
    if data.is_dir():
        for split in SPLITS:
            for prompt in read_prompts(data / f"{split}.jsonl"):
                yield Episode(prompt, (Turn("assistant", str(prompt.task["answer"])),))
        return
    asked = {prompt.messages: prompt for prompt in worker.prompts("train", _NUM_TRIED, 0)}
    for shown in worker.demonstrations(_NUM_TRIED, 0):
        yield Episode(asked[shown.messages], shown.turns)


def _setting(text: str) -> tuple[str, JsonValue]:
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier():
        raise click.UsageError(f"--config {text!r}: give NAME=VALUE, such as min_terms=3")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
