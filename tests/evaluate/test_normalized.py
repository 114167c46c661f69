"""The share of the teacher's gain: limits, refusals, repeatability, coverage."""

import math
import random

import numpy as np
import pytest

from tasks.evaluate.scores import Bootstrap, _ratio, bootstrap, domain_score, overall_score

# 100 prompts: the fork point solves 20, the teacher 80, the student 65.
FORK = [[1.0]] * 20 + [[0.0]] * 80
TEACHER = [[1.0]] * 80 + [[0.0]] * 20
STUDENT = [[1.0]] * 65 + [[0.0]] * 35
METHODS = {"fork_point": FORK, "teacher": TEACHER, "student": STUDENT}


def scores(seed: int = 0) -> Bootstrap:
    return bootstrap(FORK, TEACHER, METHODS, [seed])


def test_it_is_the_share_of_the_teachers_gain():
    student = domain_score(scores(), "student")
    assert student.mean == pytest.approx(45 / 60)  # (0.65 - 0.20) / (0.80 - 0.20)
    assert student.n == 100


def test_the_fork_point_is_exactly_0_and_the_teacher_exactly_1():
    fork, teacher = domain_score(scores(), "fork_point"), domain_score(scores(), "teacher")
    assert (fork.mean, fork.low, fork.high) == (0, 0, 0)
    assert (teacher.mean, teacher.low, teacher.high) == (1, 1, 1)


def test_the_interval_agrees_with_the_delta_method():
    # Of the 60 prompts that the teacher gains the student gains 45: a proportion of 0.75, whose
    # standard error is sqrt(0.75 * 0.25 / 60) = 0.0559.
    student = domain_score(scores(), "student")
    assert student.low == pytest.approx(0.75 - 1.96 * 0.0559, abs=0.015)
    assert student.high == pytest.approx(0.75 + 1.96 * 0.0559, abs=0.015)


def test_a_seed_gives_the_same_interval_and_another_seed_another():
    assert domain_score(scores(3), "student") == domain_score(scores(3), "student")
    assert (scores(3).resampled["student"] != scores(4).resampled["student"]).any()


@pytest.mark.parametrize("teacher", [FORK, [[1.0]] * 21 + [[0.0]] * 79, [[0.0]] * 100])
def test_a_teacher_that_gains_nothing_is_refused_with_the_numbers(teacher):
    refused = domain_score(bootstrap(FORK, teacher, METHODS, [0]), "student")
    assert refused.mean is refused.low is refused.high is None
    assert "is not above 0" in refused.reason
    assert "[" in refused.reason


def test_overall_is_the_mean_over_domains_and_narrower():
    one, other = scores(0), scores(1)
    overall = overall_score({"math": one, "code": other}, "student")
    single = domain_score(one, "student")
    assert overall.mean == pytest.approx(0.75)
    assert overall.n == 200
    assert overall.high - overall.low < 0.85 * (single.high - single.low)  # about 1 / sqrt(2)


def test_overall_names_the_domains_that_it_leaves_out():
    dead = bootstrap(FORK, FORK, METHODS, [0])
    overall = overall_score({"math": scores(), "code": dead}, "student")
    assert overall.mean == pytest.approx(0.75)
    assert overall.n == 100
    assert "without code" in overall.reason


def test_overall_without_any_domain_is_refused():
    dead = bootstrap(FORK, FORK, METHODS, [0])
    overall = overall_score({"math": dead}, "student")
    assert overall.mean is None
    assert "without math" in overall.reason


def test_a_gain_that_vanishes_in_many_resamples_is_refused():
    tail = np.array([math.inf] * 60 + [0.5] * 1940)
    refused = domain_score(Bootstrap(100, "", {"student": 0.5}, {"student": tail}), "student")
    assert refused.mean is None
    assert "more prompts" in refused.reason


@pytest.mark.slow
def test_the_interval_covers_the_true_share_about_95_times_of_100():
    rng = random.Random(11)
    covered = 0
    for trial in range(150):
        drawn = [rng.random() for _ in range(120)]
        fork = [[float(u < 0.2)] for u in drawn]
        teacher = [[float(u < 0.8)] for u in drawn]
        student = [[float(u < 0.2 or (u < 0.8 and rng.random() < 0.7))] for u in drawn]
        measured = bootstrap(fork, teacher, {"student": student}, [trial], resamples=400)
        score = domain_score(measured, "student")
        covered += score.low <= 0.7 <= score.high
    assert 0.90 <= covered / 150 <= 0.99


def test_a_resample_without_gain_counts_as_infinitely_far_on_the_side_of_the_rise():
    rises_R, gains_R = np.array([1.0, -1.0, 0.0, 1.0]), np.array([0.0, -0.5, 0.0, 4.0])
    assert _ratio(rises_R, gains_R).tolist() == [math.inf, -math.inf, 0.0, 0.25]


def test_overall_keeps_the_graver_reason():
    tail = np.array([math.inf] * 60 + [0.5] * 1940)
    noisy = Bootstrap(100, "", {"student": 0.5}, {"student": tail})
    dead = bootstrap(FORK, FORK, METHODS, [0])
    overall = overall_score({"math": noisy, "code": dead}, "student")
    assert overall.mean is None
    assert "more prompts" in overall.reason
