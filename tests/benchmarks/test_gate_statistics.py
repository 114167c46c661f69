"""The gate benchmark's regression, and what a checkpoint might declare; arithmetic by hand."""

import math

import pytest
import torch

from benchmarks.gate.ancestry import declarations, told
from benchmarks.gate.fitting import PENALTY, fit, predicted
from benchmarks.gate.mismatch import Family
from tasks.platform.step_runner import StepRunner
from tests.support.mirrors import MemoryMirror
from tests.support.runs import Maker

ROWS = [{"a": 1.0, "b": 5.0}, {"a": 3.0, "b": 5.0}]


def test_a_prediction_is_the_logistic_of_the_standardized_features():
    regression = {
        "bias": 0.5,
        "weights": {"a": math.log(3)},
        "centers": {"a": 1.0},
        "scales": {"a": 2.0},
    }
    # 0.5 + ln 3 * (3 - 1) / 2; at the center the bias alone.
    assert predicted(regression, {"a": 3.0}) == pytest.approx(1 / (1 + math.exp(-0.5) / 3))
    assert predicted(regression, {"a": 1.0}) == pytest.approx(1 / (1 + math.exp(-0.5)))


def test_features_are_standardized_and_a_constant_one_weighs_nothing():
    found = fit(ROWS, torch.tensor([0.2, 0.8], dtype=torch.float64))
    assert found["centers"] == {"a": 2.0, "b": 5.0}
    assert found["scales"]["a"] == pytest.approx(math.sqrt(2), abs=1e-6)
    assert found["weights"]["b"] == 0.0
    # Opposite outcomes at opposite places: no bias, and a weight in the direction of the outcome.
    assert found["bias"] == pytest.approx(0.0, abs=1e-6)
    assert found["weights"]["a"] > 0
    low, high = (predicted(found, row) for row in ROWS)
    assert low + high == pytest.approx(1.0, abs=1e-6)
    # The penalty keeps both short of the outcomes.
    assert 0.2 < low < 0.5 < high < 0.8


def test_the_same_outcome_everywhere_is_the_bias_alone():
    found = fit(ROWS, torch.tensor([0.75, 0.75], dtype=torch.float64))
    assert found["weights"] == {"a": pytest.approx(0.0, abs=1e-4), "b": 0.0}
    assert found["bias"] == pytest.approx(math.log(3), abs=1e-3)


def test_the_penalized_error_is_least_at_the_fit():
    rows = [{"a": float(n)} for n in range(4)]
    targets = [0.1, 0.5, 0.4, 0.9]
    found = fit(rows, torch.tensor(targets, dtype=torch.float64))

    def loss(weight, bias):
        moved = {**found, "weights": {"a": weight}, "bias": bias}
        errors = [(predicted(moved, row) - y) ** 2 for row, y in zip(rows, targets, strict=True)]
        return sum(errors) / 4 + PENALTY * weight**2

    weight, bias = found["weights"]["a"], found["bias"]
    least = loss(weight, bias)
    for step in (-0.05, 0.05):
        assert loss(weight + step, bias) > least
        assert loss(weight, bias + step) > least


def test_declarations_are_counted_by_whether_they_are_true():
    rows = [
        {"true": True, "contradicted": True},
        {"true": True, "contradicted": False},
        {"true": False, "contradicted": True},
        {"true": False, "contradicted": True},
        {"true": False, "contradicted": False},
    ]
    assert told(rows) == "1 of 2 true declarations contradicted, 2 of 3 false ones found"


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


@pytest.fixture
def made(runner):
    """Return checkpoints of a base: two starts, a climb of the first, and a merge of its end."""
    make = Maker(runner)
    base = make.checkpoint(0, "base")
    start, other = (make.checkpoint(seed, "sft", inputs=[("start", base)]) for seed in (1, 2))
    rungs = [make.checkpoint(seed, "rl", inputs=[("start", start)]) for seed in (3, 4)]
    student = make.checkpoint(5, "mopd", inputs=[("student", rungs[0])])
    names = ("base", "start", "other", "first", "second", "student")
    return dict(zip(names, (base, start, other, *rungs, student), strict=True))


@pytest.mark.medium
def test_a_checkpoint_may_declare_its_parent_and_strangers_of_the_same_grandparent(runner, made):
    family = Family(runner, None, made["base"], [])  # no declaration asks the plan
    named = {artifact.record: name for name, artifact in made.items()}
    found = {
        (named[each.child.record], named[each.declared.record]): each
        for each in declarations(family, 0)
    }
    # A rung's grandparent is the base: the other start is a stranger. The student's grandparent is
    # the first start; its other child is a rung of the climb that the parent is of, so no stranger.
    assert {pair: each.is_true for pair, each in found.items()} == {
        ("first", "start"): True,
        ("first", "other"): False,
        ("second", "start"): True,
        ("second", "other"): False,
        ("student", "first"): True,
    }
    assert {named[each.grandparent.record] for each in found.values()} == {"base", "start"}
