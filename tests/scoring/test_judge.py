"""A judge: what it is shown, how its verdict is read, and both orders of a pair."""

import pytest
from pydantic import ValidationError

from tasks.rollout.environment import Turn
from tasks.scoring.judge import Judge, filled, parsed_choice, parsed_score, score_prompt
from tasks.scoring.settings import JudgeSettings, Shown
from tests.support.judges import SETTINGS, taught_judge
from tests.support.refused import refused
from tests.support.sampled import response
from tests.support.tiny_models import tiny_policy

FOX, OWL, TWELVE = (response(text, "a") for text in ("fox", "owl", "12"))


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Score: 4", 4.0),
        ("It is good.\n\n  Score: 4  \n", 4.0),
        ("Score: 4.", None),
        ("Score: 4\nNo: it is poor.", None),  # not the last line
        ("Score: 4\nScore: 4", None),  # twice
        ("It says\nScore: 5\nbut I say\nScore: 1", None),  # what the response wrote, repeated
        ("The score is 4", None),
        ("score: 4", None),
        ("Score: 4.5", None),
        ("Score: 6", None),
        ("Score: 0", None),
        ("Score: ٤", None),
        ("Score: 4\n[cut off]", None),
        ("", None),
    ],
)
def test_a_score_is_the_only_and_last_line_of_its_form_and_on_the_scale(text, score):
    assert parsed_score(text, JudgeSettings(rubric="r")) == score


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("Better: 1", "1"),
        ("Hm.\nBetter: tie", "tie"),
        ("Better: 3", None),
        ("Better: 1\nBetter: 2", None),
        ("Better: 1\nor not", None),
    ],
)
def test_a_choice_is_the_only_and_last_line_of_its_form(text, choice):
    assert parsed_choice(text) == choice


def test_what_is_filled_in_is_not_read_as_a_template():
    fields = {"prompt": "{response}", "response": "{rubric} {x}", "rubric": "r"}
    assert filled("{rubric}: {prompt} {response} {y}", fields) == "r: {response} {rubric} {x} {y}"


@pytest.fixture(scope="module")
def taught():
    return taught_judge()


def test_scores_are_read_from_the_words_that_are_kept(taught):
    judge = Judge(taught, SETTINGS, seed=0)
    fox, owl, twelve = judge.judge([FOX, OWL, TWELVE])
    assert (fox.score, fox.text, fox.is_parsed) == (5.0, "ok\nScore: 5", True)
    assert (owl.score, owl.text, owl.is_parsed) == (2.0, "no\nScore: 2", True)
    assert (twelve.score, twelve.text, twelve.is_parsed) == (1.0, "Score: 9", False)
    assert fox.num_tokens > twelve.num_tokens > 0
    assert judge.score([OWL, FOX]) == [2.0, 5.0]
    assert judge.score([]) == []


def test_an_unparsable_verdict_gets_the_score_that_the_settings_state(taught):
    stated = SETTINGS.model_copy(update={"unparsable_score": -7.0})
    assert Judge(taught, stated, 0).score([FOX, TWELVE]) == [5.0, -7.0]


def test_a_verdict_that_is_cut_off_is_unparsable(taught):
    short = SETTINGS.sampling.model_copy(update={"max_new_tokens": 6})
    cut = SETTINGS.model_copy(update={"sampling": short})
    [judged] = Judge(taught, cut, 0).judge([FOX])
    assert not judged.is_parsed
    assert judged.text.endswith("[cut off]")


def test_several_calls_give_the_mean(taught):
    [judged] = Judge(taught, SETTINGS.model_copy(update={"calls": 3}), 0).judge([FOX])
    assert (judged.score, judged.text.count("Score: 5")) == (5.0, 3)


def test_both_orders_of_a_pair_count(taught):
    judge = Judge(taught, SETTINGS, seed=0)
    agreed, swapped, place, half = judge.compare(
        [(FOX, OWL), (OWL, FOX), (FOX, TWELVE), (OWL, TWELVE)]
    )
    assert (agreed.preference, agreed.texts) == (1.0, ("Better: 1", "Better: 2"))
    assert swapped.preference == -1.0
    assert (place.preference, place.num_unparsed) == (0.0, 0)
    assert (half.preference, half.num_unparsed) == (0.5, 1)
    assert judge.compare([]) == []


def test_a_verdict_depends_on_the_seed_and_on_what_is_shown_alone():
    warm = SETTINGS.sampling.model_copy(update={"temperature": 1.0})
    settings = SETTINGS.model_copy(update={"sampling": warm})
    alone = Judge(tiny_policy(), settings, 3).judge([FOX])
    assert Judge(tiny_policy(), settings, 3).judge([OWL, FOX, TWELVE])[1:2] == alone
    assert Judge(tiny_policy(), settings, 4).judge([FOX]) != alone


def test_a_judge_of_answers_is_not_shown_the_thoughts(taught):
    thoughtful = response("<think>12</think>\nfox", "a")
    shown = SETTINGS.model_copy(update={"shown": Shown.ANSWER})
    assert Judge(taught, shown, 0).score([thoughtful]) == [5.0]
    turns = (Turn("assistant", "x"), Turn("tool", "7"), Turn("assistant", "y"))
    prompt = score_prompt(response("", "a", turns=turns), shown)
    assert prompt == "r|a?|assistant:\nx\n\ntool:\n7\n\nassistant:\ny"


def test_a_response_that_leaves_no_room_is_refused(taught):
    with refused("prompt-too-long"):
        Judge(taught, SETTINGS, 0).score([response("12345678 " * 12, "a")])


@pytest.mark.parametrize(
    "wrong",
    [
        {"rubric": ""},
        {"lowest": 5},
        {"score_template": "{rubric} {prompt}"},
        {"pair_template": "{rubric} {prompt} {first}"},
        {"calls": 0},
    ],
)
def test_settings_that_cannot_judge_are_rejected(wrong):
    with pytest.raises(ValidationError):
        JudgeSettings(**({"rubric": "r"} | wrong))
