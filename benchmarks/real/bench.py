"""Runs a step in a process of its own, for a limited time, and keeps its row.

Rows of a tree without changes are results, ``benchmarks/results/real/STEP.json``. Those of a
changed tree are drafts and stay in the home folder.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.common.checkout import RESULTS
from benchmarks.common.circumstances import facts
from benchmarks.common.results import as_text, load, write_whole
from benchmarks.real.own import PROMPTS, last_json

ROWS = RESULTS / "real"
GRACE_SECONDS = 60.0
"""Time in which a step that is stopped writes its state and its account."""


class UnfinishedStepError(Exception):
    """The time of this call is over; the next call goes on."""


@dataclass
class Bench:
    """The home of one proof: a store of its own, the account of each step, and drafts."""

    home: Path
    minutes: float
    """Time of one call."""
    rows: Path = ROWS
    circumstances: Mapping[str, Any] = field(default_factory=facts)

    def __post_init__(self) -> None:
        """Make the home."""
        self.home.mkdir(parents=True, exist_ok=True)

    def row(self, step: str) -> dict[str, Any]:
        """Return the row of a finished step; a result before a draft; empty without either."""
        return load(self.rows / f"{step}.json", load(self._draft(step), {}))

    def spent(self, step: str) -> dict[str, float]:
        """Return processor seconds by kind of record, over all calls of a step."""
        return load(self._account(step), {})

    def finish(self, step: str, figures: Mapping[str, Any]) -> None:
        """Write the row of a finished step, and print it; its raw rows lie beside it."""
        kept = dict(figures)
        raw = kept.pop(PROMPTS, None)
        row = {
            "figures": kept,
            "processor_seconds": self.spent(step),
            "circumstances": dict(self.circumstances),
        }
        is_result = bool(self.circumstances["clean"])
        file = self.rows / f"{step}.json" if is_result else self._draft(step)
        if raw is not None:
            write_whole(file.with_name(f"{step}.rows.json.gz"), raw)
        write_whole(file, row)
        sys.stdout.write(as_text(row))

    def run(self, step: str, *words: str, refusal: bool = False) -> dict[str, Any]:
        """Return the document that a command prints with ``--json``, or a step of ours.

        Args:
            step: The step whose account pays.
            words: The command.
            refusal: Whether exit status 1 is an answer too, as of the gate.

        Raises:
            UnfinishedStepError: after the time of one call.
            subprocess.CalledProcessError: for a command that failed.
        """
        module = [sys.executable, "-m", "benchmarks.real.metered", str(self._account(step))]
        variables = os.environ | {"PROVOST_HOME": str(self.home.resolve()), "OMP_NUM_THREADS": "1"}
        child = subprocess.Popen(
            [*module, *words], env=variables, stdout=subprocess.PIPE, text=True
        )
        try:
            printed, _ = child.communicate(timeout=self.minutes * 60)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGINT)
            try:
                child.communicate(timeout=GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.communicate()
            raise UnfinishedStepError(
                f"{step} is not finished after {self.minutes:g} minutes: run it again to go on"
            ) from None
        if child.returncode not in ({0, 1} if refusal else {0}) or not printed.strip():
            raise subprocess.CalledProcessError(child.returncode, " ".join(words), printed)
        return last_json(printed) if "--json" in words or printed.startswith("{") else {}

    def _draft(self, step: str) -> Path:
        return self.home / "drafts" / f"{step}.json"

    def _account(self, step: str) -> Path:
        return self.home.resolve() / "spent" / f"{step}.json"
