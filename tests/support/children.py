"""Children of a few lines, and someone who watches them."""

import sys
import textwrap
import time
from pathlib import Path

from tasks.platform.progress import Update
from workflows.process import Job
from workflows.progress import JobOutcome

ROOT = Path(__file__).resolve().parents[2]


class Recorder:
    """Keeps what a person would be shown."""

    def __init__(self):
        self.started: list[str] = []
        self.updates: list[tuple[str, Update]] = []
        self.ended: list[JobOutcome] = []
        self.most_running = 0

    def start(self, name):
        self.started.append(name)
        self.most_running = max(self.most_running, len(self.started) - len(self.ended))

    def update(self, name, update):
        self.updates.append((name, update))

    def end(self, outcome):
        self.ended.append(outcome)


def child(name, code, **env):
    """A job that runs a few lines of Python in the repository's root."""
    prelude = f"import os, sys, time; sys.path.insert(0, {str(ROOT)!r})\n"
    return Job(name, (sys.executable, "-S", "-c", prelude + textwrap.dedent(code)), env)


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
