"""The schedules of the learning rate, by hand."""

import math

import pytest

from tasks.supervised.optimizers import optimizers_of
from tasks.supervised.settings import TrainingSettings
from tests.support.refused import invalid
from tests.support.tiny_models import tiny_model


def rates(**settings):
    """Return the learning rate of each of 12 steps, the first 2 of which warm up."""
    given = TrainingSettings(num_steps=12, learning_rate=1.0, warmup_steps=2, **settings)
    optimizer, schedule = optimizers_of(tiny_model(), given)
    found = []
    for _ in range(12):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_a_linear_schedule_falls_to_zero_behind_the_last_step():
    assert rates() == pytest.approx([0, 0.5, *(1 - step / 10 for step in range(10))])


def test_a_cosine_falls_to_its_share_of_the_peak():
    half = [(1 + math.cos(math.pi * step / 10)) / 2 for step in range(10)]
    assert rates(schedule="cosine") == pytest.approx([0, 0.5, *half])
    to_a_tenth = [0.1 + 0.9 * value for value in half]
    found = rates(schedule="cosine", final_share=0.1)
    assert found[2:] == pytest.approx(to_a_tenth)
    assert found[:2] == pytest.approx([0, 0.5])


def test_a_constant_schedule_stays_at_the_peak():
    assert rates(schedule="constant") == pytest.approx([0, 0.5, *[1] * 10])


@pytest.mark.parametrize("schedule", ["linear", "constant"])
def test_a_final_share_belongs_to_a_cosine(schedule):
    with invalid("no-effect", "final_share", schedule):
        TrainingSettings(num_steps=1, learning_rate=1, schedule=schedule, final_share=0.1)
