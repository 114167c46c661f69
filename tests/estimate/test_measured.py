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


def of_a_rank(paper, counted):
    """Return counted bytes without the whole student in fp32, which FakeTensorMode alone keeps."""
    whole = 4 * on_paper.work_of(paper).student.total
    return {name: counted[name] - whole for name in on_paper.COUNTED}


def assert_agreement(paper, counted):
    own, estimated = of_a_rank(paper, counted), on_paper.estimated(paper)
    assert estimated[HELD] == pytest.approx(own[HELD], rel=0.01)
    for phase, size in own.items():
        assert estimated[phase] == pytest.approx(size, rel=WITHIN), phase


@pytest.mark.parametrize("num_ranks", on_paper.RANKS)
def test_the_estimate_agrees_with_a_large_model_on_paper(num_ranks):
    (row,) = (row for row in read("step_on_paper") if row["paper"]["num_ranks"] == num_ranks)
    assert_agreement(Paper(**row["paper"]), row["bytes"])


@pytest.mark.slow
@pytest.mark.parametrize("displacements", [True, False])
def test_todays_learner_takes_what_is_estimated(displacements):
    paper = Paper("qwen3-32b", 3, 8, displacements, num_layers=3)
    assert_agreement(paper, step_on_paper(paper))


@pytest.mark.slow
@pytest.mark.parametrize("num_ranks", on_paper.RANKS)
def test_todays_learner_of_a_large_model_takes_what_is_estimated(num_ranks):
    paper = Paper("qwen3-32b", on_paper.TEACHERS, num_ranks)
    assert_agreement(paper, step_on_paper(paper))
