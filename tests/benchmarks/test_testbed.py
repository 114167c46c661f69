"""The figures of the testbed by hand, and from the raw rows."""

import pytest

from benchmarks.testbed.measure import Answer, answers_of, figures_of, rows_of
from tasks.rollout.collect import Rollout
from tasks.rollout.environment import Grade, Prompt, Turn


def answer(score, tokens, mode="", *, thinks=False):
    return Answer(mode, score, tokens, thinks, truncated=False)


def test_pass_rates_count_whole_scores_alone():
    figures = figures_of(
        {"a": [answer(1.0, 10), answer(0.5, 20)], "b": [answer(0.0, 30), answer(0.9, 40)]}
    )
    # Scores 1, 0.5, 0 and 0.9; one of four answers and one of two prompts passes.
    assert figures["score"]["mean"] == pytest.approx(0.6)
    assert figures["pass_1"]["mean"] == pytest.approx(0.25)
    assert figures["pass_any"] == 0.5
    assert (figures["tokens"], figures["tokens_of_passed"]) == (25, 10)


def test_obedience_is_thinking_if_and_only_if_the_mode_says_so():
    on = [answer(1.0, 60, "on", thinks=True), answer(0.0, 9, "on")]
    off = [answer(1.0, 9, "off"), answer(0.0, 9, "off"), answer(0.0, 60, "off", thinks=True)]
    figures = figures_of({"a": on, "b": off})
    assert figures["mode_on"] == {"pass_1": 0.5, "tokens": 34.5, "obedient": 0.5}
    assert figures["mode_off"]["obedient"] == pytest.approx(2 / 3)
    assert figures["tokens_of_passed"] == 60  # a right answer without thinking is not counted


def test_no_right_answer_has_no_length():
    assert figures_of({"a": [answer(0.0, 5)]})["tokens_of_passed"] is None


def test_an_answer_is_what_the_policy_wrote():
    rollout = Rollout(
        domain="add",
        prompt=Prompt("p", (), mode="on"),
        turns=(Turn("assistant", "<think>4+2+0=06;</think>60"),),
        grade=Grade(1.0),
        ids=(1, 2, 3),
        is_response=(False, True, True),
        sampler_log_probs=(0.0, -1.0, -1.0),
        truncated=False,
    )
    kept = answers_of([rollout, rollout])
    assert kept == {"p": [answer(1.0, 2, "on", thinks=True)] * 2}
    (row,) = rows_of(kept)
    assert row == {
        **{"prompt": "p", "mode": "on", "scores": [1.0, 1.0], "tokens": [2, 2]},
        **{"thinks": "11", "truncated": "00"},
    }
