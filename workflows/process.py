"""Runs several commands side by side as child processes, and shows how far each one is.

Flyte's local execution runs one node after another, so independent climbs are processes of their
own. A child reports progress as JSON lines on a pipe (``tasks.platform.progress``); what it prints
goes to its log. No child outlives this process: not after Ctrl-C, and not when it is killed.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from types import FrameType

from lineage.errors import plain
from tasks.platform.progress import PROGRESS_FD, decode
from workflows.progress import JobOutcome, Progress, Status

GRACE_SECONDS = 5.0
_LAST_REPORTS_SECONDS = 1.0
"""Time to read the pipe of a job that has ended, if a process outside of its group holds it."""
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
    jobs: Sequence[Job], limit: int, show: Progress, *, logs: Path
) -> list[JobOutcome]:
    """Run every job, at most ``limit`` at a time, and return how each ended, in the jobs' order.

    A job's standard output and error are appended to ``logs/<name>.log``. When a job fails, the
    others finish.

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
    with ThreadPoolExecutor(limit) as waiters:
        crew = _Crew(show, logs, waiters)
        outcomes = asyncio.run(crew.run(jobs, limit))
    if crew.stopped_by:
        sys.stderr.write(
            "Stopped. What was finished is kept: run the same command again to go on.\n"
        )
        raise SystemExit(128 + crew.stopped_by)
    return outcomes


def exit_code(outcomes: Sequence[JobOutcome]) -> int:
    """Return 0 when every job is done, else the first failed job's own code (1 if killed)."""
    if all(outcome.status is Status.DONE for outcome in outcomes):
        return 0
    codes = [outcome.exit_code for outcome in outcomes if outcome.status is Status.FAILED]
    return next((code for code in codes if code is not None and code > 0), 1)


@contextlib.contextmanager
def _on_signal(act: Callable[[int], None]) -> Iterator[None]:
    """Call ``act`` in the event loop at SIGINT and SIGTERM instead of dying of them.

    Importing flytekit replaces the SIGINT handler by one that exits at once, which would leave
    the children to the kernel; so ours is set for the run and theirs put back after it. Only the
    main thread may do that: in another thread the handlers stay as they are.
    """
    loop = asyncio.get_running_loop()

    def note(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(act, number)

    in_main_thread = threading.current_thread() is threading.main_thread()
    caught = (signal.SIGINT, signal.SIGTERM) if in_main_thread else ()
    before = [(number, signal.signal(number, note)) for number in caught]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@dataclass
class _Child:
    """A running job: its process, our end of its pipe, and where its part of the log begins."""

    job: Job
    process: subprocess.Popen[bytes]
    pipe: FileIO
    log: Path
    log_start: int
    started: float

    @classmethod
    def start(cls, job: Job, log_path: Path) -> "_Child":
        """Start a job with a pipe for its reports."""
        ours, theirs = os.pipe()
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
                start = log.tell()
            return cls(job, process, FileIO(ours), log_path, start, time.monotonic())
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)

    def wait(self) -> None:
        """Wait until the process has ended, without reaping it: its number stays taken."""
        with contextlib.suppress(ChildProcessError):  # it was reaped, after an error of ours
            os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)

    def signal(self, number: signal.Signals) -> None:
        """Signal the job and what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def end(self, *, stopping: bool) -> JobOutcome:
        """Kill what the job has left behind, and return how it ended."""
        self.signal(signal.SIGKILL)
        code = self.process.wait()
        self.pipe.close()
        status = Status.DONE if code == 0 else Status.STOPPED if stopping else Status.FAILED
        tail = self._tail() if status is Status.FAILED else ()
        seconds = time.monotonic() - self.started
        return JobOutcome(self.job.name, status, seconds, self.log, code, tail)

    def _tail(self) -> tuple[str, ...]:
        """Return the last lines that this run of the job wrote to its log."""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self.log_start, size - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
        return tuple(plain(line) for line in text.splitlines()[-TAIL_LINES:])


class _Crew:
    """The running children."""

    def __init__(self, show: Progress, logs: Path, waiters: Executor) -> None:
        self._show, self._logs, self._waiters = show, logs, waiters
        self._running: list[_Child] = []
        self._stopping = False
        self.stopped_by = 0
        """The signal that has stopped the run."""

    async def run(self, jobs: Sequence[Job], limit: int) -> list[JobOutcome]:
        """Run the jobs until all have ended, or a signal has stopped them."""
        slots = asyncio.Semaphore(limit)
        with _on_signal(self._interrupt):
            work = [asyncio.create_task(self._run(job, slots)) for job in jobs]
            try:
                return [outcome for outcome in await asyncio.gather(*work) if outcome]
            finally:  # after an error, such as of the display, no job goes on
                self._stopping = True
                self._kill()
                await asyncio.gather(*work, return_exceptions=True)

    def _interrupt(self, number: int) -> None:
        """Ask every job to end; kill it after a while, or at the second interrupt."""
        if self._stopping:
            self._kill()
            return
        self._stopping, self.stopped_by = True, number
        for child in self._running:
            child.signal(signal.SIGTERM)
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self._kill)

    def _kill(self) -> None:
        for child in self._running:
            child.signal(signal.SIGKILL)

    async def _run(self, job: Job, slots: asyncio.Semaphore) -> JobOutcome | None:
        """Return how a job ended; None if the run was stopped before it began."""
        async with slots:
            if self._stopping:
                return None
            child = _Child.start(job, self._logs / f"{job.name}.log")
            self._running.append(child)
            try:
                self._show.start(job.name)
                await self._watch(child)
            finally:
                outcome = child.end(stopping=self._stopping)
                self._running.remove(child)
            self._show.end(outcome)
            return outcome

    async def _watch(self, child: _Child) -> None:
        """Pass on a job's reports until it has ended."""
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader(_LONGEST_UPDATE_BYTES)

        async def end() -> None:
            await loop.run_in_executor(self._waiters, child.wait)
            child.signal(signal.SIGKILL)  # what the job may have left behind, with the pipe open
            loop.call_later(_LAST_REPORTS_SECONDS, reader.feed_eof)

        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), child.pipe
        )
        try:
            await asyncio.gather(end(), self._pass_on(child.job.name, reader))
        finally:
            transport.close()

    async def _pass_on(self, name: str, reader: asyncio.StreamReader) -> None:
        """Show a job's reports until its pipe is closed."""
        while True:
            try:
                line = await reader.readline()
            except ValueError:  # longer than any report, as is what follows of it
                continue
            if not line:
                return
            if (update := decode(line)) is not None:
                self._show.update(name, update)
