"""Fixtures of the rollout tests."""

import pytest

from tasks.rollout.worker.client import EnvironmentWorker
from tasks.rollout.worker.limits import WorkerLimits
from tests.support.bundles import processes_of, write_bundle, zombie_children

QUICK = WorkerLimits(call_seconds=1.0)


@pytest.fixture
def worker(tmp_path):
    """Return a function that starts a worker for a bundle with the given bodies."""
    started = []

    def start(limits=QUICK, **bodies):
        folder = write_bundle(tmp_path / f"team{len(started)}", **bodies)
        made = EnvironmentWorker(folder, limits, domain="sums")
        started.append(made)
        return made.__enter__()

    yield start
    for made in started:
        made.__exit__(None, None, None)
    assert processes_of(tmp_path) == []
    assert zombie_children() == []
