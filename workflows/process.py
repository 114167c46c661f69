"""Runs several commands side by side as child processes, and shows how far each one is.

Flyte's local execution runs one node after another, so independent climbs are processes of their
own. A child reports progress as JSON lines on a pipe (``tasks.progress``); what it prints goes to
its log. No child outlives this process: not after Ctrl-C, and not when it is killed.
"""

import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from lineage.plain import plain
from tasks.progress import PROGRESS_FD, Update, decode
from workflows.progress import JobOutcome, Progress, Status

POLL_SECONDS = 0.1
GRACE_SECONDS = 5.0
TAIL_LINES = 15
_TAIL_BYTES = 16_384
_LONGEST_UPDATE_BYTES = 65_536
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

# Asks the kernel to kill the child when the process that started it dies, however it dies (1 is
# PR_SET_PDEATHSIG), then becomes the command. Not a preexec_fn: forking a process that has
# threads can deadlock before the exec.
_LAUNCH = """\
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the process that started this one has gone")
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"cannot run {sys.argv[2]}: {error}")
"""


@dataclass(frozen=True)
class Job:
    """A command to run: its name, its arguments, and additions to the environment."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a job that cannot have a log file or a process."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"job name {self.name!r} cannot name a log file: "
                "use letters, digits, '-', '_' and '.', beginning with a letter or digit"
            )
        if not self.argv:
            raise ValueError(f"job {self.name} has no command: give at least a program in argv")


def run_side_by_side(
    jobs: Sequence[Job],
    limit: int,
    show: Progress,
    *,
    logs: Path,
    stop_on_failure: bool = False,
) -> list[JobOutcome]:
    """Run every job, at most ``limit`` at a time, and return how each ended, in the jobs' order.

    A job's standard output and error are appended to ``logs/<name>.log``. When a job fails the
    others finish, or with ``stop_on_failure`` are stopped and the rest not started.

    Raises:
        ValueError: two jobs share a name, or ``limit`` is below one.
        SystemExit: SIGINT or SIGTERM arrived (main thread only). All children are gone by then;
            the exit code is 128 plus the signal's number.
    """
    names = [job.name for job in jobs]
    if len(set(names)) != len(names):
        raise ValueError(
            f"jobs share a name: {names}; their logs would mix, so name each one apart"
        )
    if limit < 1:
        raise ValueError(f"limit is {limit}, so nothing would ever run: allow at least 1 process")
    logs.mkdir(parents=True, exist_ok=True)
    with _signals_noted() as noted, contextlib.closing(_Crew(show, logs)) as crew:
        crew.run(jobs, limit, noted, stop_on_failure=stop_on_failure)
        if noted:
            crew.stop(hurry=lambda: len(noted) > 1)
            sys.stderr.write(
                "Stopped. What was finished is kept: run the same command again to go on.\n"
            )
            raise SystemExit(128 + noted[0])
        return [crew.outcome(job) for job in jobs]


def exit_code(outcomes: Sequence[JobOutcome]) -> int:
    """Return 0 when every job is done, else the first failed job's own code (1 if killed)."""
    if all(outcome.status is Status.DONE for outcome in outcomes):
        return 0
    codes = [outcome.exit_code for outcome in outcomes if outcome.status is Status.FAILED]
    return next((code for code in codes if code is not None and code > 0), 1)


@contextlib.contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list instead of dying of them.

    Importing flytekit replaces the SIGINT handler by one that exits at once, which would leave
    the children to the kernel; so ours is set for the run and theirs put back after it. Only the
    main thread may do that: in another thread the handlers stay as they are.
    """
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)

    in_main_thread = threading.current_thread() is threading.main_thread()
    caught = (signal.SIGINT, signal.SIGTERM) if in_main_thread else ()
    before = [(number, signal.signal(number, note)) for number in caught]
    try:
        yield noted
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@dataclass
class _Child:
    """A running job: its process, our end of its pipe, and where its part of the log begins."""

    job: Job
    process: subprocess.Popen[bytes]
    pipe: int
    log: Path
    log_start: int
    started: float
    unread: bytes = b""
    at_end: bool = False

    def has_exited(self) -> bool:
        """Return whether the process has ended, without reaping it: its number stays taken."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, flags) is not None

    def signal(self, number: signal.Signals) -> None:
        """Signal the job and what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def updates(self) -> Iterator[Update]:
        """Yield what the job has reported since the last call."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.pipe, _LONGEST_UPDATE_BYTES):
                *lines, self.unread = (self.unread + chunk).split(b"\n")
                yield from filter(None, map(decode, lines))
                if len(self.unread) > _LONGEST_UPDATE_BYTES:
                    self.unread = b""
            self.at_end = True

    def tail(self) -> tuple[str, ...]:
        """Return the last lines that this run of the job wrote to its log."""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self.log_start, size - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
        return tuple(plain(line) for line in text.splitlines()[-TAIL_LINES:])


class _Crew:
    """The running children."""

    def __init__(self, show: Progress, logs: Path) -> None:
        self._show = show
        self._logs = logs
        self._selector = selectors.DefaultSelector()
        self._running: list[_Child] = []
        self._outcomes: dict[str, JobOutcome] = {}
        self._stopping = False

    def outcome(self, job: Job) -> JobOutcome:
        not_started = JobOutcome(job.name, Status.NOT_STARTED, 0.0, self._log(job))
        return self._outcomes.get(job.name, not_started)

    def run(
        self, jobs: Sequence[Job], limit: int, noted: Sequence[int], *, stop_on_failure: bool
    ) -> None:
        """Run the jobs until all have ended, or a signal is noted."""
        waiting = list(jobs)
        while (waiting or self._running) and not noted:
            while waiting and len(self._running) < limit:
                self._start(waiting.pop(0))
            self._watch()
            failed = any(ended.status is Status.FAILED for ended in self._outcomes.values())
            if failed and stop_on_failure:
                waiting.clear()
                self.stop(hurry=lambda: bool(noted))

    def stop(self, hurry: Callable[[], bool]) -> None:
        """Ask every job to end, and after a while, or when it hurries, kill it."""
        self._stopping = True
        for child in self._running:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while self._running and time.monotonic() < deadline and not hurry():
            self._watch()
        self.close()

    def close(self) -> None:
        """Kill what still runs."""
        self._stopping = True
        for child in self._running:
            child.signal(signal.SIGKILL)
        for child in list(self._running):
            self._end(child)
        self._selector.close()

    def _log(self, job: Job) -> Path:
        return self._logs / f"{job.name}.log"

    def _start(self, job: Job) -> None:
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        log_path = self._log(job)
        try:
            with log_path.open("ab") as log:
                log.write(f"--- {' '.join(job.argv)}\n".encode())
                log.flush()
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *job.argv],
                    env={
                        **os.environ,
                        "PYTHONUNBUFFERED": "1",
                        **job.env,
                        PROGRESS_FD: str(theirs),
                    },
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[theirs],
                    start_new_session=True,
                )
                child = _Child(job, process, ours, log_path, log.tell(), time.monotonic())
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self._running.append(child)
        self._selector.register(ours, selectors.EVENT_READ, child)
        self._show.start(job.name)

    def _watch(self) -> None:
        for key, _ in self._selector.select(POLL_SECONDS):
            self._pass_on(key.data)
        for child in [child for child in self._running if child.has_exited()]:
            self._end(child)
        self._show.tick()

    def _pass_on(self, child: _Child) -> None:
        for update in child.updates():
            self._show.update(child.job.name, update)
        if child.at_end and child.pipe in self._selector.get_map():
            self._selector.unregister(child.pipe)  # it would be ready for ever

    def _end(self, child: _Child) -> None:
        child.signal(signal.SIGKILL)  # what the job may have left behind
        self._pass_on(child)
        code = child.process.wait()
        self._running.remove(child)
        if not child.at_end:
            self._selector.unregister(child.pipe)
        os.close(child.pipe)
        status = Status.DONE if code == 0 else Status.STOPPED if self._stopping else Status.FAILED
        seconds = time.monotonic() - child.started
        tail = child.tail() if status is Status.FAILED else ()
        name = child.job.name
        self._outcomes[name] = JobOutcome(name, status, seconds, child.log, code, tail)
        self._show.end(self._outcomes[name])
