"""What was configured and did not run is an error that names it."""

import json

import pytest

from tasks.onpolicy.mechanisms import Duty, Mechanism, MechanismError, Mechanisms

ACTS = Mechanism("refresh", Duty.ACT, "tasks.mopd.objective", "Set inner_updates to 1")
RESTS = Mechanism("mask", Duty.REST, "tasks.mopd.losses", "Widen the window")


def test_each_step_says_how_often_and_how_much():
    mechanisms = Mechanisms([ACTS, RESTS])
    for bound in (0.2, 0.4):
        mechanisms.evaluated("refresh", bound)
    mechanisms.evaluated("mask", 0.0)
    assert mechanisms.end_step(1) == pytest.approx(
        {
            "mechanism/refresh/evaluated": 2.0,
            "mechanism/refresh/bound": 0.3,
            "mechanism/mask/evaluated": 1.0,
            "mechanism/mask/bound": 0.0,
        }
    )


def test_what_is_never_evaluated_by_the_second_step_is_an_error():
    mechanisms = Mechanisms([ACTS])
    mechanisms.end_step(1)
    with pytest.raises(
        MechanismError,
        match=r"'refresh' is configured and was not evaluated.*tasks.mopd.objective.*Set inner",
    ):
        mechanisms.end_step(2)


def test_what_must_act_and_does_nothing_is_an_error():
    mechanisms = Mechanisms([ACTS])
    mechanisms.evaluated("refresh", 0.0)
    mechanisms.end_step(1)
    mechanisms.evaluated("refresh", 0.0)
    with pytest.raises(MechanismError, match=r"'refresh' was evaluated 2 times.*never changed"):
        mechanisms.end_step(2)


def test_what_acted_once_may_rest_later():
    mechanisms = Mechanisms([ACTS])
    mechanisms.evaluated("refresh", 0.1)
    mechanisms.end_step(1)
    for step in (2, 3):
        mechanisms.evaluated("refresh", 0.0)
        mechanisms.end_step(step)


def test_what_may_rest_is_reported_and_no_error():
    mechanisms = Mechanisms([RESTS])
    for step in (1, 2, 3):
        mechanisms.evaluated("mask", 0.0)
        assert mechanisms.end_step(step)["mechanism/mask/bound"] == 0.0


def test_what_runs_without_being_configured_is_an_error():
    with pytest.raises(MechanismError, match="'refresh' was evaluated but is not configured"):
        Mechanisms([RESTS]).evaluated("refresh", 1.0)


def test_a_resumed_run_remembers_what_acted():
    mechanisms = Mechanisms([ACTS])
    mechanisms.evaluated("refresh", 0.1)
    mechanisms.end_step(1)
    again = Mechanisms([ACTS])
    again.load_state(json.loads(json.dumps(mechanisms.state())))
    again.end_step(2)
