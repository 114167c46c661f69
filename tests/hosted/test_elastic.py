"""Several ranks of one task: what comes back, and which of their faults Flyte tries again."""

import pytest

from tests.support import elastic_task
from tests.support.container import Container

pytestmark = pytest.mark.slow  # two processes that import torch, four times


def run(folder, ending):
    return Container(elastic_task.two_ranks, folder, {"ending": ending}).run()


def test_the_first_rank_gives_the_output_of_all(tmp_path):
    ended = run(tmp_path / "pod", "well")
    assert ended.error is None, ended.error.message
    assert ended.output(elastic_task.two_ranks) == "rank 0 of 2, rank 1 of 2"


@pytest.mark.parametrize(
    ("ending", "recoverable", "said"),
    [
        ("network", True, "ConnectionResetError: the other machine has gone"),
        ("taken", True, "two_ranks was stopped (SIGTERM)"),
        ("input", False, "num_steps is -1"),
    ],
)
def test_a_fault_of_any_rank_is_recognized(tmp_path, ending, recoverable, said):
    ended = run(tmp_path / "pod", ending)
    assert ended.is_recoverable is recoverable
    assert said in ended.error.message[:100]
