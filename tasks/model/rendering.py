"""Renders chat templates in a process with limits, because a template is a program from a model.

It cannot escape Jinja's sandbox, but it can loop forever or double a text until memory runs out.
Each of our processes has one child that renders all templates. A template that exceeds the limits
ends the child, and the next rendering gets a new one.
"""

import atexit
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock

SECONDS_TO_START = 120.0
SECONDS_TO_RENDER = 60.0
"""Wall-clock timeout, for a busy machine; ``render_main.CPU_SECONDS`` limits the CPU time."""
PROMPT_DATE = "2026-01-01"
"""The date that ``strftime_now`` gives to templates, so that prompts are the same on every day."""
_CHUNK = 1 << 16


class TemplateError(ValueError):
    """A chat template cannot be rendered within the limits."""


def render(
    template: str,
    messages: Sequence[Mapping[str, str]],
    call: Mapping[str, bool | str],
    *,
    whose: str,
    in_parts: bool = False,
) -> str:
    """Return the text that a chat template makes of messages.

    Args:
        template: The Jinja template, as in a tokenizer's folder.
        messages: Role and content of each.
        call: The template's other variables: special tokens, ``add_generation_prompt`` and the
            like.
        whose: Name of the tokenizer in an error.
        in_parts: Whether each content is a list of parts, of which one is text.

    Raises:
        TemplateError: if the template raises, or exceeds its time or memory.
    """
    asked = {
        "messages": [
            {**m, "content": _parts(m["content"])} if in_parts else {**m} for m in messages
        ],
        "call": {**call, "chat_template": template},
        "date": PROMPT_DATE,
    }
    try:
        answer = _renderer(os.getpid()).ask(json.dumps(asked).encode("ascii"))
    except _LostError as error:
        answer = {"error": str(error)}
    if "text" in answer:
        return answer["text"]
    raise TemplateError(
        f"the chat template of {whose} cannot be rendered: {answer.get('error')}. Ask its owner "
        "to fix the template and save the tokenizer again"
    )


def prepare() -> None:
    """Start the process that renders, without waiting for it: it takes half a second."""
    _renderer(os.getpid()).prepare()


def _parts(content: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": content}]


class _LostError(Exception):
    """The process ended, or was ended because it did not answer."""


@cache
def _renderer(_process: int) -> "_Renderer":
    """Return the renderer of this process; a fork of it must not share the pipes."""
    renderer = _Renderer()
    atexit.register(renderer.close)
    return renderer


class _Renderer:
    """The child process and its pipes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._is_ready = False

    def prepare(self) -> None:
        """Start the child, unless there is one."""
        with self._lock:
            self._child = self._child or self._start()

    def ask(self, line: bytes) -> dict[str, str]:
        """Return the answer to one line; a child that does not answer is ended."""
        with self._lock:
            self._child = child = self._child or self._start()
            self._await(child)
            try:
                assert child.stdin is not None
                child.stdin.write(line + b"\n")
                child.stdin.flush()
                found: dict[str, str] = json.loads(_line(child, SECONDS_TO_RENDER))
            except (OSError, ValueError, _LostError) as error:
                self.close()
                raise _LostError("it takes too much time or memory") from error
            except BaseException:
                self.close()  # its answer would be read as that to the next question
                raise
            return found

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # what it had not read is lost with it

    def _start(self) -> subprocess.Popen[bytes]:
        script, self._is_ready = Path(__file__).with_name("render_main.py"), False
        return subprocess.Popen(
            # Isolated, so the paths of the caller's packages are passed to it.
            [sys.executable, "-I", str(script), *filter(None, sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"TRANSFORMERS_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"},
        )

    def _await(self, child: subprocess.Popen[bytes]) -> None:
        """Wait until the child says that it has started."""
        if self._is_ready:
            return
        try:
            _line(child, SECONDS_TO_START)
        except _LostError as error:
            self.close()
            raise RuntimeError(
                "the process that renders chat templates does not start: run `provost doctor` to "
                "find what this machine lacks"
            ) from error
        except BaseException:
            self.close()  # who is interrupted here must not read this child's first line later
            raise
        self._is_ready = True


def _line(child: subprocess.Popen[bytes], seconds: float) -> bytes:
    """Return the next line that a child writes."""
    assert child.stdout is not None
    descriptor, deadline = child.stdout.fileno(), time.monotonic() + seconds
    ready = select.poll()  # takes any descriptor; `select` none above 1023
    ready.register(descriptor, select.POLLIN)
    read = bytearray()
    while not read.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not ready.poll(left * 1000):
            raise _LostError("no answer")
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            raise _LostError("it ended")
        read += chunk
    return bytes(read)
