"""When a run hands out its rungs, and what it refuses."""

import pytest
from pydantic import ValidationError

from tasks.onpolicy.settings import LoopSettings


@pytest.mark.parametrize(
    ("num_steps", "rung_every", "steps"),
    [
        (10, 0, [10]),
        (10, 5, [5, 10]),
        (10, 4, [4, 8, 10]),
        (10, 1, list(range(1, 11))),
        (10, 10, [10]),
        (10, 99, [10]),
        (1, 0, [1]),
    ],
)
def test_rungs_come_every_so_many_steps_and_at_the_end(num_steps, rung_every, steps):
    settings = LoopSettings(num_steps=num_steps, rung_every=rung_every, learning_rate=1e-3)
    assert settings.rung_steps() == steps


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_steps": 0},
        {"learning_rate": 0.0},
        {"warmup_steps": -1},
        {"gradient_clip": 0.0},
        {"microbatch_tokens": 0},
        {"rung_every": -1},
        {"weight_decay": -0.1},
        {"normalization": "none"},
        {"learning_rates": 1.0},
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ValidationError):
        LoopSettings(**{"num_steps": 1, "learning_rate": 1e-3} | wrong)
