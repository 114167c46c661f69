"""The two teams on a real S3 server that evaluates their roles: about 55 acts a row."""

import tempfile
from pathlib import Path

from benchmarks.faults.teams import run_machine
from tests.lineage.s3.test_two_teams_on_s3 import on_s3

_STEPS = 12


def trial(seed: int) -> dict[str, object]:
    """Let the team act; return what changed for others, which must be nothing."""
    with tempfile.TemporaryDirectory() as folder, on_s3(Path(folder)) as machine:
        return run_machine(machine, seed, worlds=5, steps=_STEPS)
