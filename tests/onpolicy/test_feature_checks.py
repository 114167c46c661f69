"""What was configured and did not run is an error that names it."""

import json
import multiprocessing
import os
import socket

import pytest

from tasks.onpolicy.feature_checks import FeatureCheck, FeatureCheckError, FeatureChecks
from tasks.platform.ranks import joined_ranks
from tests.support.refused import raised

MUST_BIND = FeatureCheck(
    "refresh", must_bind=True, where="tasks.mopd.objective", remedy="Set inner_updates to 1"
)
MAY_REST = FeatureCheck(
    "mask", must_bind=False, where="tasks.mopd.losses", remedy="Widen the window"
)


def test_a_step_reports_evaluations_and_mean_magnitude():
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


def test_a_feature_that_is_not_evaluated_by_the_second_step_is_an_error():
    feature_checks = FeatureChecks([MUST_BIND])
    feature_checks.end_step(1)
    with raised(FeatureCheckError, "not-evaluated", "'refresh'"):
        feature_checks.end_step(2)


def test_a_feature_that_must_bind_and_does_nothing_is_an_error():
    feature_checks = FeatureChecks([MUST_BIND])
    feature_checks.record("refresh", 0.0)
    feature_checks.end_step(1)
    feature_checks.record("refresh", 0.0)
    with raised(FeatureCheckError, "no-effect", "'refresh'"):
        feature_checks.end_step(2)


def test_a_feature_that_bound_once_may_do_nothing_later():
    feature_checks = FeatureChecks([MUST_BIND])
    feature_checks.record("refresh", 0.1)
    feature_checks.end_step(1)
    for step in (2, 3):
        feature_checks.record("refresh", 0.0)
        feature_checks.end_step(step)


def test_a_feature_that_may_do_nothing_is_reported_without_an_error():
    feature_checks = FeatureChecks([MAY_REST])
    for step in (1, 2, 3):
        feature_checks.record("mask", 0.0)
        assert feature_checks.end_step(step)["mechanism/mask/bound"] == 0.0


def test_a_feature_that_is_not_configured_is_an_error():
    with raised(FeatureCheckError, "not-configured", "'refresh'"):
        FeatureChecks([MAY_REST]).record("refresh", 1.0)


def as_rank(rank, port, file):
    """Record features as one of two ranks, and write the metrics."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)}
    with joined_ranks():
        checks = FeatureChecks(
            FeatureCheck(name, must_bind=True, where="here", remedy="none")
            for name in ("mask", "clip")
        )
        for _ in range(rank + 1):
            checks.record("mask", 1.0 + 3.0 * rank)
        if rank == 1:
            checks.record("clip", 0.5)
        metrics = checks.end_step(1)
        checks.end_step(2)  # each feature bound on some rank
        file.write_text(json.dumps(metrics), "utf-8")


def test_what_every_rank_recorded_is_one_metric_on_all_ranks(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    files = [tmp_path / f"{rank}.json" for rank in (0, 1)]
    context = multiprocessing.get_context("fork")  # which imports torch no second time
    ranks = [
        context.Process(target=as_rank, args=(rank, port, file)) for rank, file in enumerate(files)
    ]
    for each in ranks:
        each.start()
    for each in ranks:
        each.join(120)
    # Rank 0 records 1 once and rank 1 records 4 twice: the mean of three is 3.
    expected = {
        "mechanism/mask/evaluated": 3.0,
        "mechanism/mask/bound": 3.0,
        "mechanism/clip/evaluated": 1.0,
        "mechanism/clip/bound": 0.5,
    }
    assert [json.loads(file.read_text()) for file in files] == [expected, expected]
    assert [each.exitcode for each in ranks] == [0, 0]


def test_a_resumed_run_remembers_which_features_bound():
    feature_checks = FeatureChecks([MUST_BIND])
    feature_checks.record("refresh", 0.1)
    feature_checks.end_step(1)
    again = FeatureChecks([MUST_BIND])
    again.load_state(json.loads(json.dumps(feature_checks.state())))
    again.end_step(2)
