"""Demonstrations of a judge: shown as a judge is, with a verdict that can be parsed."""

import pytest

from tasks.rejection_sampling.settings import VerdictSettings
from tasks.rejection_sampling.verdicts import verdicts
from tasks.scoring.judge import parsed_score, score_prompt
from tasks.scoring.settings import JudgeSettings
from tests.support.refused import refused
from tests.support.sampled import response

JUDGING = JudgeSettings(rubric="correct", lowest=0, highest=10, mode="off")
MEDIUM = [response(str(place), f"q{place}", grade=0.5) for place in range(400)]


def test_a_verdict_is_on_the_scale_and_can_be_parsed():
    given = [response(str(grade), "a", grade=grade) for grade in (0.0, 0.34, 0.36, 1.0)]
    settings = VerdictSettings(judging=JUDGING, noise=0.0)
    rows = verdicts(given, settings, 0)
    assert [parsed_score(row.turns[0].content, JUDGING) for row in rows] == [0, 3, 4, 10]
    assert [row.messages[0].content for row in rows] == [score_prompt(g, JUDGING) for g in given]
    assert {row.mode for row in rows} == {"off"}


def test_noise_is_around_the_gold_score_and_stays_on_the_scale():
    noisy = verdicts(MEDIUM, VerdictSettings(judging=JUDGING, noise=0.1), 0)
    scores = [parsed_score(row.turns[0].content, JUDGING) for row in noisy]
    mean = sum(scores) / len(scores)
    spread = (sum((score - mean) ** 2 for score in scores) / len(scores)) ** 0.5
    # A deviation of 1 step of the scale, and 1/12 of variance from rounding: 1.04.
    assert mean == pytest.approx(5.0, abs=0.2)
    assert spread == pytest.approx(1.04, abs=0.15)
    wild = verdicts(MEDIUM, VerdictSettings(judging=JUDGING, noise=9.0), 0)
    assert {parsed_score(row.turns[0].content, JUDGING) for row in wild} >= {0.0, 10.0}


def test_noise_comes_from_the_seed_alone():
    settings = VerdictSettings(judging=JUDGING)
    assert verdicts(MEDIUM, settings, 1) == verdicts(MEDIUM, settings, 1)
    assert verdicts(MEDIUM, settings, 1) != verdicts(MEDIUM, settings, 2)


def test_responses_without_the_gold_score_are_refused():
    with refused("no-responses"):
        verdicts([], VerdictSettings(judging=JUDGING), 0)
    with refused("unknown-scorer"):
        verdicts(MEDIUM, VerdictSettings(judging=JUDGING, scorer="other"), 0)
