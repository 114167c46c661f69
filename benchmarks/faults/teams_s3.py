"""The two teams on a real S3 server that evaluates their roles: about 20 acts a row."""

import tempfile
from pathlib import Path

from benchmarks.faults.teams import run_machine
from tests.lineage.s3.test_two_teams_on_s3 import on_s3

_ACTS = 20


def trial(seed: int) -> dict[str, object]:
    """Let the team act 20 times; return what changed for others, which must be nothing."""
    with tempfile.TemporaryDirectory() as folder, on_s3(Path(folder)) as machine:
        return run_machine(machine, seed, worlds=1, steps=_ACTS)
