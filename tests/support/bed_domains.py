"""The six domains of the testbed as a test sees them: prompts, demonstrations, environment."""

import importlib

import pytest

from tasks.rollout.environment import Message, Prompt, Turn

NAMES = ("add", "form", "helpful", "safe", "sort", "tool")
EACH_DOMAIN = pytest.mark.parametrize("name", NAMES)


def source_of(name):
    """Return a domain's ``prompts.py``."""
    return importlib.import_module(f"workflows.testbed.{name}.prompts")


def environment_of(name):
    """Return a domain's environment."""
    return importlib.import_module(f"workflows.testbed.{name}.environment").ENVIRONMENT


def grade_of(name, question, task, *said):
    """Return the grade of an episode in which assistant and tool take turns."""
    roles = ("assistant", "tool")
    turns = tuple(Turn(roles[place % 2], text) for place, text in enumerate(said))
    prompt = Prompt("p", (Message("user", question),), task)
    return environment_of(name).grade(prompt, turns)


def answered(name, count, seed=0):
    """Return (prompt, demonstration) pairs: both come from one stream of questions."""
    source = source_of(name)
    examples = list(source.demonstrations(count, seed))
    asked = {(example.messages, example.mode) for example in examples}
    number = len({messages for messages, _ in asked})
    prompts = {prompt.messages: prompt for prompt in source.prompts("train", number, seed)}
    return [(prompts[example.messages], example) for example in examples]
