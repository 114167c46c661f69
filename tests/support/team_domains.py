"""The four domains as a test sees them: prompts, demonstrations, environment."""

import importlib
from types import ModuleType

import pytest

from tasks.rollout.environment import (
    Demonstration,
    Environment,
    Grade,
    Message,
    Prompt,
    Turn,
)

NAMES = ("math", "code", "agent", "instruct")
EACH_DOMAIN = pytest.mark.parametrize("name", NAMES)


def source_of(name: str) -> ModuleType:
    """Return a domain's ``prompts.py``."""
    return importlib.import_module(f"workflows.teachers.{name}.prompts")


def environment_of(name: str) -> Environment:
    """Return a domain's environment."""
    environment: Environment = importlib.import_module(
        f"workflows.teachers.{name}.environment"
    ).ENVIRONMENT
    return environment


QUESTION = (Message("user", "37+48"),)


def grade_of(name: str, task: dict[str, object], *said: str) -> Grade:
    """Return the grade of an episode about 37+48 in which assistant and tool take turns."""
    roles = ("assistant", "tool")
    turns = tuple(Turn(roles[place % 2], text) for place, text in enumerate(said))
    return environment_of(name).grade(Prompt("p", QUESTION, task), turns)


def prompt_of(name: str, demonstrations: list[Demonstration], seed: int) -> dict[object, Prompt]:
    """Return the prompt that each demonstration answers, by its messages.

    Demonstrations and train prompts of one seed come from one stream of questions, in which
    prompts leave repetitions out, so as many prompts hold all of them.
    """
    prompts = source_of(name).prompts("train", len(demonstrations), seed)
    return {prompt.messages: prompt for prompt in prompts}
