"""What was configured and did not run is an error that names it."""

import json

import pytest

from tasks.onpolicy.feature_checks import FeatureCheck, FeatureCheckError, FeatureChecks

MUST_BIND = FeatureCheck(
    "refresh", must_bind=True, where="tasks.mopd.objective", remedy="Set inner_updates to 1"
)
MAY_REST = FeatureCheck(
    "mask", must_bind=False, where="tasks.mopd.losses", remedy="Widen the window"
)


def test_each_step_says_how_often_and_how_much():
    feature_checks = FeatureChecks([MUST_BIND, MAY_REST])
    for magnitude in (0.2, 0.4):
        feature_checks.record("refresh", magnitude)
    feature_checks.record("mask", 0.0)
    assert feature_checks.end_step(1) == pytest.approx(
        {
            "mechanism/refresh/evaluated": 2.0,
            "mechanism/refresh/bound": 0.3,
            "mechanism/mask/evaluated": 1.0,
            "mechanism/mask/bound": 0.0,
        }
    )


def test_what_is_never_evaluated_by_the_second_step_is_an_error():
    feature_checks = FeatureChecks([MUST_BIND])
    feature_checks.end_step(1)
    with pytest.raises(FeatureCheckError, match="'refresh'"):
        feature_checks.end_step(2)


def test_what_must_act_and_does_nothing_is_an_error():
    feature_checks = FeatureChecks([MUST_BIND])
    feature_checks.record("refresh", 0.0)
    feature_checks.end_step(1)
    feature_checks.record("refresh", 0.0)
    with pytest.raises(FeatureCheckError, match="'refresh'"):
        feature_checks.end_step(2)


def test_what_acted_once_may_rest_later():
    feature_checks = FeatureChecks([MUST_BIND])
    feature_checks.record("refresh", 0.1)
    feature_checks.end_step(1)
    for step in (2, 3):
        feature_checks.record("refresh", 0.0)
        feature_checks.end_step(step)


def test_what_may_rest_is_reported_and_no_error():
    feature_checks = FeatureChecks([MAY_REST])
    for step in (1, 2, 3):
        feature_checks.record("mask", 0.0)
        assert feature_checks.end_step(step)["mechanism/mask/bound"] == 0.0


def test_what_runs_without_being_configured_is_an_error():
    with pytest.raises(FeatureCheckError, match="'refresh'"):
        FeatureChecks([MAY_REST]).record("refresh", 1.0)


def test_a_resumed_run_remembers_what_acted():
    feature_checks = FeatureChecks([MUST_BIND])
    feature_checks.record("refresh", 0.1)
    feature_checks.end_step(1)
    again = FeatureChecks([MUST_BIND])
    again.load_state(json.loads(json.dumps(feature_checks.state())))
    again.end_step(2)
