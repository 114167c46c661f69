"""The estimate agrees with measured peaks, and with runs of the real learner on fake tensors."""

import pytest

from benchmarks.common.circumstances import read
from benchmarks.step import memory, on_paper
from benchmarks.step.on_paper import HELD, Paper, step_on_paper

WITHIN = 0.10
"""Most relative error of the estimate of the peak."""


@pytest.mark.parametrize("case", memory.CASES)
def test_the_estimate_agrees_with_the_measured_peak(case):
    row = read("step_memory")[case]
    measured, estimated = row["bytes"], memory.estimated(row)
    assert estimated.keys() == measured.keys()
    assert max(estimated.values()) == pytest.approx(max(measured.values()), rel=WITHIN)


@pytest.mark.slow
@pytest.mark.parametrize("displacements", [True, False])
def test_todays_learner_takes_what_is_estimated(displacements):
    paper = Paper("qwen3-32b", 3, 8, displacements, num_layers=3)
    counted, estimated = step_on_paper(paper), on_paper.estimated(paper)
    assert estimated[HELD] == pytest.approx(counted[HELD], rel=0.01)
    for phase, size in estimated.items():
        assert size == pytest.approx(counted[phase], rel=WITHIN), phase


@pytest.mark.slow
@pytest.mark.parametrize("num_ranks", on_paper.RANKS)
def test_todays_learner_of_a_large_model_takes_what_is_estimated(num_ranks):
    paper = Paper("qwen3-32b", on_paper.TEACHERS, num_ranks)
    counted, estimated = step_on_paper(paper), on_paper.estimated(paper)
    names = on_paper.COUNTED
    assert max(estimated.values()) == pytest.approx(max(map(counted.get, names)), rel=WITHIN)
