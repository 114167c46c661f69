"""Inside the confined process: load a team's bundle and answer one JSON line with another.

Whatever a bundle raises goes back as text. Nothing is pickled, and the parent checks every answer
again, because a bundle could write to the pipe itself.
"""

import faulthandler
import json
import mmap
import os
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, TypedDict

from tasks.rollout.client import NonsenseError, grade_from, max_turns_from, reply_from
from tasks.rollout.environment import Environment, Json, Prompt, PromptSource, Split, Turn
from tasks.rollout.prompts import demonstration_to_json, prompt_from_json, prompt_to_json

_DETAIL_CHARACTERS = 8_000
_INTERNET = (2, 10)
"""Families of addresses: IPv4 and IPv6."""
_NETWORK_EVENTS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname"}
_DUMP_SHARE = 0.9
"""Share of an episode's time after which a traceback is written for the parent."""
_REARM_SHARE = 0.1
"""Share of an episode's time within which the next episode keeps the previous alarm: setting an
alarm starts a thread, which costs more than most episodes."""


class ServeSettings(TypedDict):
    """What the parent hands over at the start."""

    bundle: str
    progress: int


class Request(TypedDict, total=False):
    """One line from the parent: a call, its time limit, and episodes or a count."""

    call: str
    seconds: float
    episodes: list[tuple[object, list[tuple[str, str]]]]
    split: Split
    count: int
    seed: int


class Bundle:
    """A team's loaded ``environment.py`` and ``prompts.py``."""

    def __init__(self, folder: Path, progress: "_Progress") -> None:
        """Run both files; ``progress`` records the episode that is being answered."""
        self.environment: Environment = _load(folder / "environment.py").ENVIRONMENT
        self.source: PromptSource = _load(folder / "prompts.py")
        self._progress = progress

    def answer(self, request: Request) -> list[Json]:
        """Return one answer for each episode, or the requested rows."""
        if request["call"] == "prompts":
            prompts = self.source.prompts(request["split"], request["count"], request["seed"])
            return [prompt_to_json(prompt) for prompt in islice(prompts, request["count"] + 1)]
        if request["call"] == "demonstrations":
            rows = self.source.demonstrations(request["count"], request["seed"])
            return [demonstration_to_json(row) for row in islice(rows, request["count"] + 1)]
        one = self._grade if request["call"] == "grade" else self._respond
        answers: list[Json] = []
        for index, (prompt, turns) in enumerate(request["episodes"]):
            self._progress.begin(index)
            said = [Turn("tool" if role == "tool" else "assistant", text) for role, text in turns]
            answers.append(one(prompt_from_json(prompt), said))
        return answers

    def _respond(self, prompt: Prompt, turns: list[Turn]) -> Json:
        return reply_from(self.environment.respond(prompt, turns))

    def _grade(self, prompt: Prompt, turns: list[Turn]) -> Json:
        grade = grade_from(self.environment.grade(prompt, turns))
        return [grade.score, grade.reason]


def serve(settings: ServeSettings) -> None:
    """Load the bundle when the parent says so, then answer requests until it closes the pipe."""
    requests, replies = _take_pipes()
    faulthandler.enable()
    network = _NetworkWatch()
    progress = _Progress(settings["progress"])
    loaded: list[Bundle] = []

    def load() -> dict[str, Json]:
        loaded.append(Bundle(Path(settings["bundle"]), progress))
        return {"max_turns": max_turns_from(loaded[0].environment.max_turns)}

    if not requests.readline():
        return
    _write(replies, _guarded(load, network))
    for line in requests:
        request: Request = json.loads(line)
        progress.allow(request["seconds"])
        reply = _guarded(partial(_answers, loaded[0], request), network)
        faulthandler.cancel_dump_traceback_later()
        _write(replies, reply)


def _answers(bundle: Bundle, request: Request) -> dict[str, Json]:
    return {"answers": bundle.answer(request)}


class _NetworkWatch:
    """Notes whether the bundle tried to reach a network, which it does not have.

    A grader that catches the error would give every answer 0 for it.
    """

    def __init__(self) -> None:
        self.was_tried = False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in _NETWORK_EVENTS or (event == "socket.__new__" and arguments[1] in _INTERNET):
            self.was_tried = True


def _guarded(action: Callable[[], dict[str, Json]], network: _NetworkWatch) -> bytes:
    """Return the reply as a line: the action's, or what the bundle did wrong."""
    try:
        done = action()
        return json.dumps(done | {"network": network.was_tried}, allow_nan=False).encode() + b"\n"
    except NonsenseError as error:
        problem, details = str(error), ""
    except BaseException as error:  # noqa: BLE001 (a bundle may raise SystemExit too)
        problem = f"raised {type(error).__name__}"
        details = "".join(traceback.format_exception(error))[-_DETAIL_CHARACTERS:]
    reply = {"problem": problem, "details": details, "network": network.was_tried}
    return json.dumps(reply).encode() + b"\n"


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the two pipes for the protocol; the bundle's own prints go to the captured stderr."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdin = os.fdopen(nothing)
    return requests, replies


class _Progress:
    """Notes the current episode where the parent can read it, and sets the alarm for it.

    A shared page, not a message: it is there even after a crash, and costs no system call.
    """

    def __init__(self, file: int) -> None:
        self._page = mmap.mmap(file, mmap.PAGESIZE)
        self._seconds = 0.0
        self._armed = 0.0

    def allow(self, seconds: float) -> None:
        """Take the time for each episode of the call that begins, and set the alarm."""
        self._seconds, self._armed = seconds, time.monotonic()
        faulthandler.dump_traceback_later(seconds * _DUMP_SHARE)

    def begin(self, index: int) -> None:
        """Note the episode that begins."""
        self._page[:8] = index.to_bytes(8, "little", signed=True)
        if time.monotonic() - self._armed > self._seconds * _REARM_SHARE:
            self.allow(self._seconds)


def _load(path: Path) -> ModuleType:
    """Run a bundle's file under a name of its own and return the module."""
    name = f"bundle_{path.stem}"
    loader = SourceFileLoader(name, str(path))
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    loader.exec_module(module)
    return module


def _write(replies: BinaryIO, line: bytes) -> None:
    replies.write(line)
    replies.flush()
