"""A confined child process that answers one line with another, within a time limit.

The parent never blocks on it: requests are written and answers, prints and tracebacks read in one
loop, each up to a cap, so a child that floods or stops reading costs the parent nothing.
"""

import contextlib
import json
import logging
import mmap
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TypeAlias

from tasks.rollout.worker.scratch import remove
from tasks.rollout.worker.supervisor import ENDINGS

Settings: TypeAlias = Mapping[
    str, str | int | Sequence[str] | Mapping[str, str] | Mapping[str, int]
]

_LOG = logging.getLogger(__name__)
_CHUNK_BYTES = 65_536
_KILL_SECONDS = 5.0
_NO_EPISODE = (-1).to_bytes(8, "little", signed=True)
_GLANCE_SHARE = 0.1
"""Interval between looks at the child's current episode, as a share of an episode's time."""


class _EpisodeClock:
    """The time of each episode of a call, by the child's position.

    Only a higher position than any before starts the time again: whatever a bundle writes there,
    a call has no more than the time of all its episodes.
    """

    def __init__(self, seconds: float, num_episodes: int) -> None:
        self._seconds, self._num_episodes = seconds, num_episodes
        self._position = -1
        self._began = time.monotonic()

    @property
    def glance(self) -> float:
        """How many seconds to wait before the next look at the position."""
        return self._seconds * _GLANCE_SHARE

    def is_over(self, position: int) -> bool:
        """Take the position at this moment and return whether the time is up."""
        now = time.monotonic()
        if self._position < position < self._num_episodes:
            self._position, self._began = position, now
        return now - self._began >= self._seconds


class ProcessLostError(Exception):
    """The child died, hung or wrote nonsense and is gone; the text reads on from a call's name."""


class ConfinedProcess:
    """Runs ``main.py`` with an empty environment in a folder of its own."""

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        *,
        message_bytes: int,
        output_bytes: int,
    ) -> None:
        """Start it. It gets the settings as JSON, with ``scratch``, ``parent``, ``progress``."""
        self._message_bytes = message_bytes
        self._output_bytes = output_bytes
        self._output = bytearray()
        self._last_position = -1
        self._scratch = os.path.realpath(tempfile.mkdtemp(prefix="provost-environment-"))
        self._progress = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the child)
        self._progress.truncate(mmap.PAGESIZE)
        handed = {
            **settings,
            "scratch": self._scratch,
            "parent": os.getpid(),
            "progress": self._progress.fileno(),
        }
        # -s -S -P: no site-packages, nothing from the current folder. -B: write no .pyc files.
        script = str(Path(__file__).with_name("main.py"))
        self._process = subprocess.Popen(
            [sys.executable, "-s", "-S", "-P", "-B", "-X", "utf8", script, json.dumps(handed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            cwd=self._scratch,
            pass_fds=(self._progress.fileno(),),
            start_new_session=True,  # Ctrl-C is for the parent, which then ends us
        )
        for stream in self._streams():
            os.set_blocking(stream.fileno(), False)

    @property
    def pid(self) -> int:
        """The process id of the child's supervisor."""
        return self._process.pid

    @property
    def output(self) -> str:
        """The last part of what the bundle printed, tracebacks included."""
        return self._output.decode("utf-8", "replace")

    @property
    def position(self) -> int:
        """The index of the episode that the child was last busy with, -1 for none."""
        if self._progress.closed:
            return self._last_position
        return int.from_bytes(os.pread(self._progress.fileno(), 8, 0), "little", signed=True)

    def exchange(self, request: bytes, seconds: float, num_episodes: int = 0) -> bytes:
        """Send one line ("" for none) and return the answering line.

        ``seconds`` is the time for each of ``num_episodes``, or for a call without any.

        Raises:
            ProcessLostError: no valid answer came in time. After any error, close the process: half
                a conversation cannot be resumed.
        """
        os.pwrite(self._progress.fileno(), _NO_EPISODE, 0)
        clock = _EpisodeClock(seconds, num_episodes)
        stdin, stdout, stderr = self._streams()
        unsent, answer = memoryview(request), bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(stderr, selectors.EVENT_READ)
            if unsent:
                selector.register(stdin, selectors.EVENT_WRITE)
            while not answer.endswith(b"\n"):
                ready = {key.fileobj for key, _ in selector.select(clock.glance)}
                if clock.is_over(self.position):
                    raise ProcessLostError(f"did not answer within {seconds:g} s")
                if stderr in ready and not self._drain():
                    selector.unregister(stderr)
                if stdout in ready:
                    self._receive(answer)
                if stdin in ready:
                    unsent = unsent[self._send(unsent) :]
                    if not unsent:
                        selector.unregister(stdin)
        return bytes(answer)

    def close(self) -> None:
        """End the child and everything it started; its last position and output stay readable."""
        self._last_position = self.position
        if self._process.returncode is None:
            self._drain()
            self._process.send_signal(signal.SIGTERM)  # the supervisor kills, reaps and goes
            try:
                self._process.wait(_KILL_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        for stream in self._streams():
            # What could not be written to a dead child is of no use any more.
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self._progress.close()
        if not remove(self._scratch):
            _LOG.warning("%s could not be removed: remove it by hand", self._scratch)

    def _send(self, unsent: memoryview) -> int:
        try:
            return os.write(self._streams()[0].fileno(), unsent)
        except BrokenPipeError:
            raise ProcessLostError(self._death()) from None

    def _receive(self, answer: bytearray) -> None:
        data = os.read(self._streams()[1].fileno(), _CHUNK_BYTES)
        if not data:
            raise ProcessLostError(self._death())
        answer += data
        if len(answer) > self._message_bytes:
            raise ProcessLostError(f"answered with more than {self._message_bytes} bytes")
        if b"\n" in data[:-1]:
            raise ProcessLostError("answered more than once")

    def _drain(self) -> bool:
        """Read what was printed, keep its end; False when nothing more can come."""
        try:
            data = os.read(self._streams()[2].fileno(), _CHUNK_BYTES)
        except BlockingIOError:
            return True
        self._output += data
        del self._output[: -self._output_bytes]
        return bool(data)

    def _death(self) -> str:
        """Say how the child ended. The supervisor reports a signal as 128 + its number."""
        try:
            status = self._process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            return "closed its end of the pipe"
        self._drain()
        if status in ENDINGS:
            return ENDINGS[status]
        if status == 128 + signal.SIGKILL:
            return "died of SIGKILL (the system ran out of memory, or WorkerLimits.cpu_seconds did)"
        if status > 128 and status - 128 in set(signal.Signals):
            return f"died of {signal.Signals(status - 128).name}"
        return f"ended by itself (exit status {status})"

    def _streams(self) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        return process.stdin, process.stdout, process.stderr
