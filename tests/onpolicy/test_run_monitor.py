"""Signs of illness: each stops or warns as set, naming teacher and step."""

import json
import math
from dataclasses import replace

import pytest

from tasks.onpolicy.run_monitor import RunMonitor, TrainingAbortedError, repetition
from tasks.onpolicy.settings import HealthSettings, Reaction
from tests.support.refused import raised
from tests.support.tiny_models import rollout

WELL = {"from_uniform/math": 1.0, "entropy/math": 0.5, "unsteady/math": 0.0}
SAID = [rollout(range(10), range(1, 10))]
ROUND = [rollout([0, *[1, 2, 3, 4] * 6], range(1, 25))]


def health(**settings):
    warnings = []
    return RunMonitor(HealthSettings(**settings), 100, warnings.append), warnings


def test_a_run_that_is_well_is_left_alone():
    made, warnings = health()
    assert made.check(1, SAID, WELL) == {"repetition/math": 0.0}
    assert warnings == []


@pytest.mark.parametrize(
    ("ill", "code", "names"),
    [
        ({"from_uniform/math": 0.01}, "uniform-teacher", ("step 7", "'math'")),
        ({"from_uniform/math": math.nan}, "uniform-teacher", ("'math'",)),
        ({"entropy/math": 0.95 * math.log(100)}, "student-collapse", ("'math'",)),
        ({"entropy/math": math.nan}, "student-collapse", ("step 7",)),
        ({"unsteady/math": 0.02}, "unsteady-scorer", ("'math'", "0.02")),
        ({"unsteady/math": math.nan}, "unsteady-scorer", ("'math'",)),
    ],
)
def test_a_sign_stops_the_run_naming_teacher_and_step(ill, code, names):
    made, _ = health()
    with raised(TrainingAbortedError, code, *names):
        made.check(7, SAID, WELL | ill)


def test_a_sign_may_only_warn_and_does_so_once_until_it_is_well_again():
    made, warnings = health(uniform_teacher=Reaction.WARN)
    for step in (1, 2):
        made.check(step, SAID, WELL | {"from_uniform/math": 0.0})
    assert len(warnings) == 1
    made.check(3, SAID, WELL)
    made.check(4, SAID, WELL | {"from_uniform/math": 0.0})
    assert len(warnings) == 2
    assert "step 4" in warnings[1]


def test_repetition_is_the_share_of_four_grams_that_came_before():
    # 24 tokens have 21 4-grams, of which 4 are different.
    assert repetition(ROUND) == {"math": pytest.approx(17 / 21)}
    assert repetition([rollout([0, 1, 2], [1, 2])]) == {"math": 0.0}


def test_tokens_of_the_prompt_do_not_repeat():
    assert repetition([rollout([1, 2, 3, 4] * 6, range(20, 24))]) == {"math": 0.0}


@pytest.mark.parametrize("said", [ROUND, [replace(SAID[0], truncated=True)]])
def test_a_student_that_runs_away_for_three_steps_is_warned_of(said):
    made, warnings = health()
    for step in (1, 2):
        made.check(step, said, WELL)
    assert warnings == []
    made.check(3, said, WELL)
    assert "'math'" in warnings[0]


def test_a_well_step_between_begins_the_count_anew():
    made, warnings = health()
    for step, said in enumerate((ROUND, ROUND, SAID, ROUND, ROUND), start=1):
        made.check(step, said, WELL)
    assert warnings == []


def test_a_runaway_may_stop_the_run_and_a_resumed_run_goes_on_counting():
    made, _ = health(runaway=Reaction.STOP)
    for step in (1, 2):
        made.check(step, ROUND, WELL)
    again, _ = health(runaway=Reaction.STOP)
    again.load_state(json.loads(json.dumps(made.state())))
    with raised(TrainingAbortedError, "runaway", "'math'"):
        again.check(3, ROUND, WELL)


def test_a_gap_between_sampler_and_trainer_stops_the_run():
    made, warnings = health()
    made.check(1, SAID, WELL | {"sampler_gap": 0.09, "sampler_bias": 0.0})
    with raised(TrainingAbortedError, "sampler-gap", "step 2", "0.3 "):
        made.check(2, SAID, WELL | {"sampler_gap": 0.3, "sampler_bias": -0.3})
    made, warnings = health(sampler_gap="warn", most_sampler_gap=0.05)
    made.check(1, SAID, WELL | {"sampler_gap": math.nan, "sampler_bias": math.nan})
    assert len(warnings) == 1


def test_a_gap_of_stale_tokens_has_a_limit_and_a_reason_of_its_own():
    made, warnings = health()
    # above the limit for tokens of this policy, 0.1
    made.check(1, SAID, WELL | {"stale_gap": 0.3, "stale_bias": 0.0})
    with raised(TrainingAbortedError, "stale-gap", "step 2", "0.31 ", "loop.staleness=0"):
        made.check(2, SAID, WELL | {"stale_gap": 0.31, "stale_bias": -0.3})
    made, warnings = health(stale_gap="warn", most_stale_gap=0.05)
    for step, gap in enumerate((0.06, math.nan), start=1):
        made.check(step, SAID, WELL | {"stale_gap": gap, "stale_bias": gap})
    assert len(warnings) == 1  # still the same alarm


def kl(nats):
    return WELL | {"kl/math": nats}


def test_a_frozen_teacher_with_a_jumping_kl_is_named():
    made, warnings = health()
    for step, nats in enumerate((0.31, 0.25, 0.24, 0.23), start=1):
        made.check(step, SAID, kl(nats))
    made.check(5, SAID, kl(0.92))  # 0.92 is less than three times 0.31
    assert warnings == []
    made.check(6, SAID, kl(2.9))  # more than three times 0.92
    made.check(7, SAID, kl(2.9))  # and still, once warned
    assert len(warnings) == 1
    assert "step 6" in warnings[0]
    assert "'math'" in warnings[0]


@pytest.mark.parametrize(
    "steps",
    [(0.2, 0.2, 0.9), (0.01, 0.01, 0.01, 0.1)],
    ids=["too few steps to compare with", "less than a tenth of a nat"],
)
def test_a_kl_that_grows_by_chance_raises_no_alarm(steps):
    made, warnings = health()
    for step, nats in enumerate(steps, start=1):
        made.check(step, SAID, kl(nats))
    assert warnings == []


def test_a_jump_is_found_across_a_resume():
    made, _ = health()
    for step in (1, 2, 3):
        made.check(step, SAID, kl(0.2))
    again, warnings = health()
    again.load_state(json.loads(json.dumps(made.state())))
    again.check(4, SAID, kl(1.0))
    assert len(warnings) == 1
    old, _ = health()
    state = made.state()
    del state["recent"]  # as states of before have none
    old.load_state(state)
    old.check(4, SAID, kl(1.0))


@pytest.mark.parametrize(
    ("without_room", "advice"), [(True, "model's positions"), (False, "Raise max_new_tokens")]
)
def test_advice_tells_positions_from_the_limit_of_a_turn(without_room, advice):
    made, warnings = health(runaway_steps=1)
    cut = replace(SAID[0], truncated=True, without_room=without_room)
    made.check(1, [cut], WELL)
    assert [advice in text for text in warnings] == [True]
