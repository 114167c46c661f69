"""Agent: a calculator that is called in turns, and a final number."""

import re

import pytest

from tasks.rollout.environment import Prompt, Turn
from tests.support.team_domains import environment_of, grade_of, source_of

CALL = "<tool_call>123+45</tool_call>"


def reply_to(said):
    return environment_of("agent").respond(Prompt("p", ()), (Turn("assistant", said),))


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        ("123+45", "168"),
        ("45-123", "-78"),
        ("999999999+999999999", "1999999998"),
    ],
)
def test_the_calculator_adds_and_subtracts(operation, result):
    assert reply_to(f"<tool_call>{operation}</tool_call>") == result


@pytest.mark.parametrize(
    "operation",
    [
        "12*3",
        "1+2+3",
        "-1+2",
        "9999999999+1",
        "12+3</tool_call><tool_call>4+5",
    ],
    ids=lambda text: text[:20] or "empty",
)
def test_a_call_with_several_operations_gets_an_error(operation):
    assert reply_to(f"<tool_call>{operation}</tool_call>") == "error"


@pytest.mark.parametrize("said", [f"so: {CALL}", f"{CALL} 168"])
def test_a_turn_with_a_call_holds_only_the_call(said):
    assert reply_to(said) == "error"


@pytest.mark.parametrize("operation", ["\uff11+2"], ids=ascii)
def test_a_call_in_other_digits_gets_an_error(operation):
    assert reply_to(f"<tool_call>{operation}</tool_call>") == "error"


@pytest.mark.parametrize("said", ["168", "</tool_call>"])
def test_anything_without_a_call_ends_the_episode(said):
    assert reply_to(said) is None


def test_the_right_number_after_a_call_is_right():
    assert grade_of("agent", {"answer": "168"}, CALL, "168", "168").score == 1.0


def test_two_calls_and_the_right_number_are_right():
    said = ("<tool_call>100+68</tool_call>", "168", "<tool_call>168-8</tool_call>", "160", "160")
    assert grade_of("agent", {"answer": "160"}, *said).score == 1.0


def test_the_right_number_without_a_call_is_a_guess():
    grade = grade_of("agent", {"answer": "168"}, "168")
    assert (grade.score, grade.reason) == (0.0, "guessed: no call")


@pytest.mark.parametrize("said", ["169", "", "+168", CALL])
def test_a_wrong_final_answer_is_wrong(said):
    grade = grade_of("agent", {"answer": "168"}, CALL, "168", said)
    assert (grade.score, grade.reason) == (0.0, "wrong final answer")


def test_stopping_after_the_first_of_two_steps_is_wrong():
    assert (
        grade_of("agent", {"answer": "160"}, "<tool_call>100+68</tool_call>", "168", "168").score
        == 0.0
    )


def test_an_episode_that_ends_with_the_tools_word_is_wrong():
    assert grade_of("agent", {"answer": "168"}, CALL, "168").score == 0.0


@pytest.mark.parametrize("said", ["168 ", " 168"], ids=ascii)
def test_white_space_is_not_a_digit(said):
    assert grade_of("agent", {"answer": "168"}, CALL, "168", said).score == 0.0


def test_a_guess_behind_a_call_that_failed_is_still_a_guess():
    assert grade_of("agent", {"answer": "168"}, "<tool_call>", "error", "168").score == 0.0


def test_every_prompt_has_the_right_answer_in_one_or_two_steps():
    num_steps = []
    for prompt in source_of("agent").prompts("train", 1000, 0):
        question = prompt.messages[-1].content
        numbers = re.findall(r"[+-]?\d+", question)
        assert prompt.task["answer"] == str(sum(map(int, numbers)))
        assert int(prompt.task["answer"]) > 0
        num_steps.append(len(numbers) - 1)
    assert set(num_steps) == {1, 2}
    # 30 % of two steps; the standard error of 1,000 is 0.014.
    assert num_steps.count(2) / 1000 == pytest.approx(0.3, abs=0.06)


def test_questions_are_within_what_turns_and_calculator_can_do():
    environment = environment_of("agent")
    for prompt in source_of("agent").prompts("evaluation", 300, 0):
        first, *rest = re.findall(r"[+-]?\d+", prompt.messages[-1].content)
        turns, total = (), int(first)
        for number in rest:
            call = f"<tool_call>{total}{number}</tool_call>"
            turns += (Turn("assistant", call),)
            turns += (Turn("tool", environment.respond(prompt, turns)),)
            total = int(turns[-1].content)
        turns += (Turn("assistant", str(total)),)
        assert sum(turn.role == "assistant" for turn in turns) <= environment.max_turns
        assert environment.respond(prompt, turns) is None
        assert environment.grade(prompt, turns).score == 1.0
