"""Runs programs that a model wrote against hidden tests, in a sandbox.

A program never runs in Python itself and never as a bare subprocess: it runs in an interpreter
that has no files, sockets, processes or environment to begin with, with explicit limits. Only
arguments go in and only JSON values come out, so a program never sees what a test expects.
Standard library and pydantic-monty only: a team's environment may import this module.
"""

import functools
import keyword
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final, Literal, Protocol

from pydantic_monty import (
    Monty,
    MontyConversionError,
    MontyCrashedError,
    MontyError,
    MontyRuntimeError,
    MontySession,
    MontySyntaxError,
    ResourceLimits,
)

from tasks.rollout.environment import Json
from tasks.rollout.foreign import NotJsonError, json_of

ErrorKind = Literal["syntax", "missing", "runtime", "value", "time", "memory", "output", "crash"]
"""``missing``: no such function. ``value``: returned a value outside JSON, or too much. ``output``:
printed too much. ``crash``: the interpreter itself crashed and was replaced."""

_ENDING: Final = frozenset({"time", "memory", "output", "crash"})
"""Errors after which the session cannot be called again."""
_KINDS: Final[dict[ErrorKind, tuple[type[BaseException], ...]]] = {
    "syntax": (MontySyntaxError,),
    "value": (MontyConversionError,),
    "time": (TimeoutError,),
    "memory": (MemoryError,),
}
_ARGUMENTS = "_provost_arguments"
_MESSAGE_CHARACTERS = 200
_MAX_SUSPENSIONS = 100
"""Maximum suspensions: each undefined name and each refused file suspends the program once."""
_GRACE_SECONDS = 0.25
_PROGRAMS_PER_WORKER = 1000
_FROZEN = datetime(2026, 1, 1)


@dataclass(frozen=True)
class Call:
    """A hidden test's question: call this function of the program with these arguments."""

    function: str
    arguments: tuple[Json, ...] = ()

    def __post_init__(self) -> None:
        """Refuse anything but a name: it would be run as code."""
        if not self.function.isidentifier() or keyword.iskeyword(self.function):
            raise ValueError(
                f"{self.function!r} is not a function name: a Call takes the bare name, and its "
                "arguments separately"
            )


@dataclass(frozen=True)
class SandboxLimits:
    """Resource limits of a program. A limit cannot be switched off."""

    seconds: float = 1.0
    """Time limit of each call. The total is checked against it before each next call."""
    memory_bytes: int = 64 * 1024**2
    recursion_depth: int = 200
    output_bytes: int = 65_536
    """Maximum size of the whole printed output, and of each returned value."""

    def __post_init__(self) -> None:
        """Refuse limits that are not above 0."""
        for name, value in vars(self).items():
            if not 0 < value < math.inf:
                raise ValueError(f"SandboxLimits.{name} is {value}: give a number above 0")


@dataclass(frozen=True)
class CallResult:
    """The result of one call: a value, or the kind of error."""

    value: Json = None
    error: ErrorKind | None = None


@dataclass(frozen=True)
class ProgramResult:
    """The result of a program: one outcome for each call, in order."""

    outcomes: tuple[CallResult, ...]
    error: ErrorKind | None = None
    """Error that kept the program from loading; every outcome has it too."""
    message: str = ""
    """Text of the first error, for a report."""
    printed: str = ""


class Sandbox(Protocol):
    """A way to contain programs; each must pass ``tests/rollout/test_sandbox_adversarial.py``."""

    def run(self, source: str, calls: Sequence[Call], limits: SandboxLimits) -> ProgramResult:
        """Load a program into a fresh session and make the calls."""

    def close(self) -> None:
        """End the processes that it holds."""


def run_program(source: str, calls: Sequence[Call], limits: SandboxLimits) -> ProgramResult:
    """Run a program against calls in the default sandbox; whatever it does comes back as data."""
    return _default_sandbox().run(source, calls, limits)


@functools.cache
def _default_sandbox() -> Sandbox:
    return MontySandbox()


class MontySandbox:
    """pydantic-monty: an interpreter for a subset of Python, in a reused process of its own."""

    _first_used_in: ClassVar[int] = 0

    def __init__(self) -> None:
        """Start the process that interprets; it is reused, each program gets a fresh session."""
        self._refuse_fork()
        self._pool = Monty(
            min_processes=1,
            max_processes=1,
            max_checkouts_per_worker=_PROGRAMS_PER_WORKER,
            feed_duration_limit_grace=_GRACE_SECONDS,
            turn_duration_limit_grace=_GRACE_SECONDS,
        ).__enter__()

    def run(self, source: str, calls: Sequence[Call], limits: SandboxLimits) -> ProgramResult:
        """Load a program into a fresh session and make the calls."""
        self._refuse_fork()
        with self._pool.checkout(
            limits=_monty_limits(limits),
            # The same program gives the same result: no clock, no entropy, and sleep is free.
            os_policy={"datetime": _FROZEN, "sleep": "zero", "random_start": {"seed": 0}},
            assert_message_annotations=False,
        ) as session:
            return _Run(session, limits).run(source, calls)

    def close(self) -> None:
        """End the interpreter's process."""
        self._pool.__exit__(None, None, None)

    @classmethod
    def _refuse_fork(cls) -> None:
        """Raise in a forked child, where the library would wait forever for its lost threads."""
        cls._first_used_in = cls._first_used_in or os.getpid()
        if cls._first_used_in != os.getpid():
            raise RuntimeError(
                "this process was forked from one that had used the sandbox, and would hang: start "
                "it with the 'spawn' method, or let the parent run no program before it forks"
            )


class _Run:
    """One program in one session."""

    def __init__(self, session: MontySession, limits: SandboxLimits) -> None:
        self._session = session
        self._limits = limits
        self._deadline = time.monotonic() + limits.seconds
        self._printed: list[str] = []
        self._num_printed = 0
        self._message = ""

    def run(self, source: str, calls: Sequence[Call]) -> ProgramResult:
        error = self._load(source)
        outcomes = [CallResult(error=error)] * len(calls) if error else self._all(calls)
        return ProgramResult(tuple(outcomes), error, self._message, "".join(self._printed))

    def _load(self, source: str) -> ErrorKind | None:
        try:
            self._session.feed_run(source, print_callback=self._print)
        except MontyConversionError:
            return None  # the value of a module's last line is not used
        except MontyError as error:
            return self._failed(error).error
        except UnicodeEncodeError as error:
            return self._outcome("syntax", f"not Unicode: {error.reason}").error
        return None

    def _all(self, calls: Sequence[Call]) -> list[CallResult]:
        outcomes: list[CallResult] = []
        known: dict[str, ErrorKind] = {}  # by function; "" holds for all
        for call in calls:
            error = known.get(call.function) or known.get("")
            if error is None and time.monotonic() > self._deadline:
                error = "time"
            outcome = CallResult(error=error) if error else self._call(call)
            if outcome.error == "missing":
                known[call.function] = "missing"
            elif outcome.error in _ENDING:
                known[""] = outcome.error
            outcomes.append(outcome)
        return outcomes

    def _call(self, call: Call) -> CallResult:
        code = f"{call.function}(*{_ARGUMENTS})"
        inputs = {_ARGUMENTS: list(call.arguments)}
        try:
            value = self._session.feed_run(code, inputs=inputs, print_callback=self._print)
            return CallResult(json_of(value, self._limits.output_bytes))
        except MontyError as error:
            return self._failed(error, call.function)
        except NotJsonError as error:
            return self._outcome("value", str(error))

    def _failed(self, error: MontyError, function: str = "") -> CallResult:
        flooded = self._num_printed > self._limits.output_bytes
        return self._outcome("output" if flooded else _kind(error, function), str(error))

    def _outcome(self, kind: ErrorKind, message: str) -> CallResult:
        self._message = self._message or message[:_MESSAGE_CHARACTERS]
        return CallResult(error=kind)

    def _print(self, stream: str, text: str) -> None:
        """Keep what the program prints; raising here ends the program."""
        room = self._limits.output_bytes - self._num_printed
        self._printed.append(text[: max(room, 0)])
        self._num_printed += len(text.encode("utf-8", "replace"))
        if self._num_printed > self._limits.output_bytes:
            raise NotJsonError("printed too much")


def _kind(error: MontyError, function: str) -> ErrorKind:
    """Say which kind of error the interpreter reports; ``function`` is the one that was called."""
    if isinstance(error, MontyCrashedError):
        return "time" if error.timed_out else "crash"
    cause = error.exception()
    for kind, classes in _KINDS.items():
        if isinstance(error, classes) or isinstance(cause, classes):
            return kind
    # Only the name in our own line: a name that is missing deeper down is the program's error.
    if isinstance(cause, NameError) and isinstance(error, MontyRuntimeError):
        ours = len(error.traceback()) == 1 and f"'{function}'" in str(error)
        return "missing" if ours else "runtime"
    return "runtime"


def _monty_limits(limits: SandboxLimits) -> ResourceLimits:
    return {
        "max_feed_duration_secs": limits.seconds,
        "max_turn_duration_secs": limits.seconds,
        "max_memory": limits.memory_bytes,
        "max_recursion_depth": limits.recursion_depth,
        "max_suspensions": _MAX_SUSPENSIONS,
        "max_total_sleep_secs": 0.0,
    }
