"""When a warm-up ends, and which prompts the teachers answer for each of its cycles."""

import pytest

from tasks.rollout.settings import SamplingSettings
from tasks.sft.warm_up import TraceRequest, has_enough


@pytest.mark.parametrize(
    ("course", "enough"),
    [
        ([0.0, 0.8], True),  # as good as the teacher
        ([0.0, 0.03], False),
        ([0.0, 0.03, 0.03], False),  # flat, but a new domain rises late
        ([0.0, 0.03, 0.4], False),  # half of the gain, and rising
        ([0.0, 0.5, 0.5], True),  # above half of the gain, and flat
        ([0.0, 0.5, 0.45], True),
        ([0.0, 0.39, 0.39], False),
        ([0.4, 0.5, 0.5], False),  # of a gain of 0.4 it has 0.1
        ([0.4, 0.65, 0.65], True),
    ],
)
def test_a_warm_up_ends_at_the_teachers_score_or_flat_above_half_of_the_gain(course, enough):
    assert has_enough(course, teacher=0.8) == enough


def drawn(cycle, num_prompts, there=10):
    request = TraceRequest(None, num_prompts, SamplingSettings(), 0, cycle)
    return list(request.drawn(range(there)))


def test_each_cycle_takes_the_next_prompts_and_begins_again_after_the_last():
    assert drawn(0, 4) == [0, 1, 2, 3]
    assert drawn(1, 4) == [4, 5, 6, 7]
    assert drawn(2, 4) == [8, 9, 0, 1]
    assert drawn(3, 40) == list(range(10))  # all that there are, each once
