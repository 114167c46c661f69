"""The estimate agrees with measured peaks, and with runs of the real learner on fake tensors."""

import json
from dataclasses import replace

import pytest

from benchmarks.common.circumstances import RESULTS, read
from benchmarks.common.process import in_own_process
from benchmarks.step import memory
from benchmarks.step.on_paper import step_on_paper
from benchmarks.step.paper import COUNTED, HELD, PAPERS, Paper, kept_whole
from benchmarks.step.paper import estimated as estimated_on_paper

ON_GPU = RESULTS / "step_sizes_cuda.json"
WITHIN = 0.10
"""Most relative error of the estimate of the peak."""


@pytest.mark.parametrize("case", read("step_memory"))
def test_the_estimate_agrees_with_the_measured_peak(case):
    row = read("step_memory")[case]
    estimated = memory.estimated(row)
    measured = max(row["bytes"][phase] for phase in estimated)
    assert "learning" in estimated
    assert max(estimated.values()) == pytest.approx(measured, rel=WITHIN)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["two teachers", "two ranks"])
def test_todays_step_takes_what_is_estimated(case):
    row = in_own_process(memory.measured_peaks, [case])[case]
    estimated = memory.estimated(row)
    assert estimated.keys() == row["bytes"].keys()
    assert max(estimated.values()) == pytest.approx(max(row["bytes"].values()), rel=WITHIN)


@pytest.mark.parametrize("size", json.loads(ON_GPU.read_text())["sizes"])
def test_the_estimate_agrees_with_the_peaks_of_a_gpu(size):
    row = json.loads(ON_GPU.read_text())["sizes"][size]
    estimated = memory.estimated_on_gpu(row)
    assert estimated["peak_gib"] == pytest.approx(row["peak_gib"], rel=WITHIN)
    assert estimated["ledger"] == pytest.approx(row["ledger"]["peak_gib"], rel=WITHIN)


def named(paper):
    """Return a name of a step for a test."""
    plain = Paper(paper.preset, paper.num_teachers, paper.num_ranks)
    other = {n: v for n, v in vars(paper).items() if v != vars(plain)[n]}
    return " ".join(
        map(str, [paper.preset, paper.num_ranks, *(f"{n}={v}" for n, v in other.items())])
    )


def of_a_rank(paper, counted):
    """Return counted bytes without the whole models that FakeTensorMode alone keeps."""
    return {name: size - kept_whole(paper) for name, size in counted.items() if name in COUNTED}


def assert_agreement(paper, counted):
    own, estimated = of_a_rank(paper, counted), estimated_on_paper(paper)
    assert estimated[HELD] == pytest.approx(own[HELD], rel=0.01)
    for phase, size in own.items():
        assert estimated[phase] == pytest.approx(size, rel=WITHIN), phase


@pytest.mark.parametrize("row", read("step_on_paper"), ids=lambda row: named(Paper(**row["paper"])))
def test_the_estimate_agrees_with_a_large_model_on_paper(row):
    assert_agreement(Paper(**row["paper"]), row["bytes"])


SMALL = Paper("qwen3-32b", 3, 8, num_layers=3)
TOGETHER = replace(SMALL, shares_teachers=True, checkpointing=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "paper",
    [
        SMALL,
        replace(SMALL, displacements=False),
        TOGETHER,
        replace(TOGETHER, lora_rank=16),
        replace(TOGETHER, preset="llama-3.1-70b", lora_rank=16),
    ],
    ids=named,
)
def test_todays_learner_takes_what_is_estimated(paper):
    assert_agreement(paper, in_own_process(step_on_paper, paper))


@pytest.mark.slow
@pytest.mark.parametrize("paper", PAPERS, ids=named)
def test_todays_learner_of_a_large_model_takes_what_is_estimated(paper):
    assert_agreement(paper, in_own_process(step_on_paper, paper))
