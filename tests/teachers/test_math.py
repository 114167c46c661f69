"""Math: the number alone, worked out with its carry."""

import re

import pytest

from tasks.rollout.environment import Prompt, Turn
from tests.support.team_domains import environment_of, grade_of, source_of
from workflows.teachers.math.prompts import _without_carry


@pytest.mark.parametrize("said", ["85", "37+48=85"])
def test_the_expected_number_is_right_alone_or_behind_the_question(said):
    assert grade_of("math", {"answer": "85"}, said).score == 1.0


@pytest.mark.parametrize(
    "said",
    [
        "75",
        "",
        "+85",
        "085",
        "85.0",
        "85 85",
        "37+48",
        "37+48=",
        "37+48=85=85",
        "48+37=85",  # true, but not what was asked
        "\uff18\uff15",  # full-width digits, of which int() makes 85
        "85\u200b",  # a space of no width
        "85" + "0" * 100_000,
    ],
    ids=lambda said: ascii(said)[:30],
)
def test_anything_else_is_wrong(said):
    grade = grade_of("math", {"answer": "85"}, said)
    assert grade.score == 0.0
    assert grade.reason


@pytest.mark.parametrize("said", ["85 ", " 85"], ids=ascii)
def test_white_space_is_not_a_digit(said):
    # Otherwise an answer that never ends but in spaces would be right.
    assert grade_of("math", {"answer": "85"}, said).score == 0.0


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("75", "wrong number"),
        ("eighty-five", "not a plain number"),
    ],
)
def test_a_grade_says_what_was_wrong(said, reason):
    assert grade_of("math", {"answer": "85"}, said).reason == reason


@pytest.mark.parametrize(
    ("first", "second", "sign", "said"),
    [
        # 3 + 4 = 7 and 7 + 8 = 15, of which the 5 stays; 9 + 9 = 18 twice.
        (37, 48, "+", "75"),
        (99, 99, "+", "88"),
        # 5 - 1 = 4 and 2 - 7 = -5, of which 10 - 5 stays.
        (52, 17, "-", "45"),
    ],
)
def test_the_wrong_convention_forgets_the_carry(first, second, sign, said):
    assert _without_carry(first, second, sign) == said


def test_every_prompt_has_the_right_answer_and_needs_a_carry():
    for prompt in source_of("math").prompts("evaluation", 500, 0):
        match = re.fullmatch(r"(\d\d)([+-])(\d\d)", prompt.messages[-1].content)
        first, sign, second = int(match[1]), match[2], int(match[3])
        answer = first + second if sign == "+" else first - second
        assert prompt.task["answer"] == str(answer)
        assert answer > 0
        units = first % 10 + second % 10 > 9 if sign == "+" else first % 10 < second % 10
        tens = sign == "+" and first // 10 + second // 10 > 9
        assert units or tens


def test_an_episode_ends_after_one_answer():
    turns = (Turn("assistant", "<tool_call>1+1</tool_call>"),)
    assert environment_of("math").max_turns == 1
    assert environment_of("math").respond(Prompt("p", ()), turns) is None
