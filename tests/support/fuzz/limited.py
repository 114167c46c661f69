"""Feeds parsers with inputs, in a process limited in memory and in time for each input.

Run as a script it is that process: ``limited.py FAMILY``. It reads the name of a parser and an
input, each with its length before it, and answers one line of JSON to each.
"""

import contextlib
import importlib
import json
import resource
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MEMORY_BYTES = 64 << 20
"""What a parser may take above what the process has when it starts."""
CPU_SECONDS = 2.0
"""For one input; the signal that then comes ends the process."""


@dataclass
class Counts:
    """What became of the inputs of one parser."""

    inputs: int = 0
    past_first: int = 0
    """Passed the first validation: the bytes are such a document at all."""
    taken: int = 0
    """Passed all of it."""
    refused: dict[str, int] = field(default_factory=dict)
    """By the type of the project's error."""

    def join(self, other):
        """Add the counts of other inputs."""
        self.inputs += other.inputs
        self.past_first += other.past_first
        self.taken += other.taken
        for error, count in other.refused.items():
            self.refused[error] = self.refused.get(error, 0) + count

    def add(self, *, past_first, error):
        """Count one input."""
        self.inputs += 1
        self.past_first += past_first
        self.taken += not error
        if error:
            self.refused[error] = self.refused.get(error, 0) + 1


class Limited:
    """The process, as the test sees it; use it in ``with``."""

    def __init__(self, family):
        self._command = [sys.executable, __file__, family]
        self._child = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._child is not None:
            self._end()

    def feed(self, name, data, counts):
        """Give one input to a parser; AssertionError where it does what none may do."""
        child = self._child or self._start()
        try:
            for part in (name.encode(), data):
                child.stdin.write(len(part).to_bytes(8, "big") + part)
            child.stdin.flush()
            line = child.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            code = self._end()
            raise AssertionError(f"{name} ended its process with {code} on {data[:300]!r}")
        answer = json.loads(line)
        assert "trace" not in answer, f"{answer['trace']}\non {data[:300]!r}"
        counts.add(**answer)

    def _end(self):
        child, self._child = self._child, None
        child.kill()
        child.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        return child.wait()

    def _start(self):
        self._child = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._child.stdout.readline() == b"ready\n"
        return self._child


def main(family):
    """Answer until the input ends."""
    sys.path[:0] = [str(ROOT)]
    parsers = importlib.import_module(f"tests.support.fuzz.{family}").PARSERS
    for parser in parsers.values():
        parser.warm()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    if not any(parser.limits_itself for parser in parsers.values()):
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    output, sys.stdout = sys.stdout, sys.stderr
    output.write("ready\n")
    output.flush()
    while name := _read():
        data = _read()
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        answer = _answer(parsers[name.decode()], data)
        signal.setitimer(signal.ITIMER_PROF, 0)
        output.write(json.dumps(answer) + "\n")
        output.flush()


def _read():
    length = sys.stdin.buffer.read(8)
    return sys.stdin.buffer.read(int.from_bytes(length, "big"))


def _answer(parser, data):
    try:
        past_first = bool(parser.first(data))
    except Exception:  # noqa: BLE001 - whatever it raises, it was not passed
        past_first = False
    try:
        parser.parse(data)
    except parser.errors as error:
        str(error).encode("utf-8")  # it can be shown
        return {"past_first": past_first, "error": type(error).__name__}
    except BaseException:  # noqa: BLE001 - this is what is looked for
        return {"trace": traceback.format_exc()[-3000:]}
    return {"past_first": past_first, "error": ""}


if __name__ == "__main__":
    main(*sys.argv[1:])
