"""Bundles that behave, and bundles that do not."""

import os
import textwrap
from pathlib import Path

from tasks.rollout.client import EnvironmentFailure, Episode
from tasks.rollout.environment import Message, Prompt, Turn

HEAD = """
from collections.abc import Iterator, Sequence

from tasks.rollout.environment import Demonstration, Grade, Message, Prompt, Split, Turn
"""

PROMPTS = """
def prompts(split, count, seed):
    for number in range(count):
        messages = (Message("user", f"{number}?"),)
        yield Prompt(f"{split}-{seed}-{number}", messages, {"answer": number})


def demonstrations(count, seed):
    for number in range(count):
        yield Demonstration((Message("user", f"{number}?"),), (Turn("assistant", str(number)),))
"""


def write_bundle(folder, *, grade="return Grade(1.0)", respond="return None", top="", prompts=""):
    """Write a bundle whose methods have these bodies; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = f"""
{HEAD}
{textwrap.dedent(top)}
class Team:
    max_turns = 2

    def respond(self, prompt, turns):
{textwrap.indent(textwrap.dedent(respond), " " * 8)}

    def grade(self, prompt, turns):
{textwrap.indent(textwrap.dedent(grade), " " * 8)}


ENVIRONMENT = Team()
"""
    (folder / "environment.py").write_text(environment)
    (folder / "prompts.py").write_text(HEAD + (textwrap.dedent(prompts) or PROMPTS))
    return folder


def episodes(*said, identifier="p"):
    """Return one episode for each thing that the model said: p0, p1, ..."""
    return [
        Episode(
            Prompt(f"{identifier}{index}", (Message("user", "1+1"),), {"answer": "2"}),
            (Turn("assistant", words),),
        )
        for index, words in enumerate(said)
    ]


def processes_of(folder):
    """Return the ids of the living processes whose command line names a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.fsencode(folder) in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:  # it ended while we looked
            continue
    return [pid for pid in found if pid != os.getpid()]


def zombie_children():
    """Return the ids of our children that ended and were not waited for."""
    zombies = []
    for entry in Path("/proc").iterdir():
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state == "Z" and int(parent) == os.getpid():
            zombies.append(int(entry.name))
    return zombies


def failure(call, *arguments):
    """Return the EnvironmentFailure that a call ends in."""
    try:
        call(*arguments)
    except EnvironmentFailure as error:
        return error
    raise AssertionError("it did not fail")
