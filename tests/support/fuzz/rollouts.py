"""Readers of prompts and demonstrations, of a bundle's source, and of what its process answers."""

import ast
import inspect
import tempfile
from pathlib import Path

from tasks.rollout.client import EnvironmentFailure, Episode
from tasks.rollout.environment import Message, Prompt, Turn
from tasks.rollout.json_lines import PromptError
from tasks.rollout.prompts import read_demonstrations, read_prompts
from tasks.rollout.worker.bundle import BundleError, check
from tasks.rollout.worker.client import Confinement, EnvironmentWorker
from tests.support.fuzz.fuzzing import Parser
from tests.support.fuzz.mutations import mutated_json, mutated_text

PROMPT = {
    "id": "p1", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
    "task": {"answer": 3, "tests": [[1, 2]]}, "mode": "on",
}  # fmt: skip
DEMONSTRATION = {
    "messages": [{"role": "user", "content": "u"}],
    "turns": [{"role": "assistant", "content": "a"}, {"role": "tool", "content": "t"},
              {"role": "assistant", "content": "b"}],
}  # fmt: skip
ANSWERS = {
    "grade": {"answers": [[0.5, "half"]]},
    "respond": {"answers": ["4"]},
    "prompts": {"answers": [PROMPT]},
    "demonstrations": {"answers": [DEMONSTRATION]},
    "load": {
        "max_turns": 3, "network_cut": True, "files_hidden": True, "processes_private": False,
        "problem": "raised", "details": "Traceback",
    },
}  # fmt: skip
SOURCE = inspect.cleandoc(
    """
    import json
    from tasks.rollout.environment import Grade, Prompt

    class Sums:
        max_turns = 1

        def respond(self, prompt, turns):
            return None

        def grade(self, prompt, turns):
            return Grade(1.0 if turns[-1].content == prompt.task["answer"] else 0.0)

    ENVIRONMENT = Sums()

    def prompts(split, count, seed):
        yield from ()

    def demonstrations(count, seed):
        yield from ()
    """
)
SNIPPETS = [
    "import os\n", "import torch\n", "from . import x\n", "from tasks.rollout import sandbox\n",
    "x = " + "(" * 99 + ")" * 99 + "\n", "x = " + "[" * 999, "\x00", "\t", "# coding: latin-9\n",
    "# coding: nope\n", "ENVIRONMENT: int = 1\n", "'" * 3, "\\\n", "async def prompts(): ...\n",
    "def prompts(split, count, seed, /, *a, **b): ...\n", "x = " + "-" * 99_999 + "1\n",
    "x = " + "a." * 50_000 + "b\n", "x = f'{1}'\n", "x = lambda: (yield)\n", "# \u202e\n",
    "x = " + "9" * 5000 + "\n", "\x0c\n", "x = 1; " * 2000 + "\n", "if x:\n  " * 3 + "pass\n",
]  # fmt: skip
EPISODE = Episode(Prompt("p1", (Message("user", "u"),), {}), (Turn("assistant", "a"),))


def lines(read):
    """Return a reader of a file of JSON lines: a good line, then the input."""
    path = Path(tempfile.mkdtemp(prefix="provost-fuzz-"), "x.jsonl")

    def parse(data):
        path.write_bytes(data)
        read(path)

    return parse


def bundle(data):
    folder = _bundle_folder
    for name in ("environment.py", "prompts.py"):
        (folder / name).write_bytes(data)
    check(folder)


_bundle_folder = Path(tempfile.mkdtemp(prefix="provost-fuzz-"))


class Answering:
    """What an ``EnvironmentWorker`` talks to, answering always the same."""

    position, output = 0, ""

    def __init__(self, data):
        self._data = data

    def exchange(self, *_):
        return self._data

    def close(self):
        """There is no process."""


class Worker(EnvironmentWorker):
    """A worker whose process is made of one answer."""

    def __init__(self, data):
        super().__init__(Path("/nowhere"), domain="math")
        self._data = data

    def _launch(self):
        return Answering(self._data)

    def _confined(self, process):
        return Confinement()  # the supervisor's word, which is ours

    def _load(self, process):
        return None


def answer(call):
    def parse(data):
        worker = Worker(data)
        if call in ("grade", "respond"):
            getattr(worker, call)([EPISODE])
        elif call == "load":
            EnvironmentWorker._load(worker, Answering(data))
        else:
            getattr(worker, call)(*(("train", 1, 0) if call == "prompts" else (1, 0)))

    return parse


PARSERS = {
    "prompts": Parser(mutated_json(PROMPT), lines(read_prompts), (PromptError,)),
    "demonstrations": Parser(
        mutated_json(DEMONSTRATION), lines(read_demonstrations), (PromptError,)
    ),
    "bundle": Parser(
        mutated_text(SOURCE, r"\n(?=\S)", SNIPPETS), bundle, (BundleError,), ast.parse
    ),
    **{
        f"answer to {call}": Parser(mutated_json(whole), answer(call), (EnvironmentFailure,))
        for call, whole in ANSWERS.items()
    },
}
