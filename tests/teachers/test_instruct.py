"""Instruct: a question said back; every constraint of the format must hold."""

import pytest

from tasks.rollout.environment import Turn
from tests.support.team_domains import environment_of, grade_of, source_of
from workflows.teachers.instruct.prompts import COUNTS, say

TIMES = {count: word for word, count in COUNTS.items()}
TASK = {"question": "fox", "count": 2, "join": "-", "case": "upper", "end": "!"}


def asked_of(task):
    """Return the constraints of a prompt's task in words."""
    return TIMES[task["count"]], task["join"], task["case"], task["end"]


@pytest.mark.parametrize(
    ("question", "asked", "said"),
    [
        ("fox", ("twice", "-", "upper", "!"), "FOX-FOX!"),
        ("fox", ("once", ";", "lower", "."), "fox."),
        ("12+34", ("twice", ";", "upper", "."), "12+34;12+34."),
    ],
)
def test_an_answer_follows_its_constraints(question, asked, said):
    assert say(question, asked) == said


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "FOX-FOX!"),
        ({"case": "lower"}, "fox-fox!"),
        ({"question": "12+34"}, "12+34-12+34!"),
    ],
)
def test_an_answer_that_keeps_every_constraint_is_right(changed, said):
    assert grade_of("instruct", TASK | changed, said).score == 1.0


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("FOX-FOX", "end mark"),
        ("FOX-FOX! ", "end mark"),
        ("", "end mark"),
        ("FOX!", "count or separator"),
        ("FOX,FOX!", "count or separator"),
        ("!", "count or separator"),
        ("fox-fox!", "case"),
        ("FOX-OWL!", "not the question"),
        ("FOX-FOX!!", "not the question"),
        ("\uff26OX-\uff26OX!", "not the question"),  # a full-width F
    ],
    ids=lambda text: ascii(text)[:24],
)
def test_an_answer_that_breaks_a_constraint_is_wrong_and_says_which(said, reason):
    grade = grade_of("instruct", TASK, said)
    assert (grade.score, grade.reason) == (0.0, reason)


def test_a_letter_that_only_looks_like_its_capital_is_wrong():
    # The Kelvin sign becomes k in lower case; the long s becomes S in upper case.
    kelvin = {"question": "elk", "count": 1, "case": "upper"}
    assert grade_of("instruct", TASK | kelvin, "EL\u212a!").score == 0.0
    long_s = {"question": "sun", "count": 1, "case": "lower"}
    assert grade_of("instruct", TASK | long_s, "\u017fun!").score == 0.0


def test_an_answer_given_once_needs_no_separator():
    assert grade_of("instruct", TASK | {"count": 1, "question": "52-17"}, "52-17!").score == 1.0


@pytest.mark.parametrize("split", ["train", "validation", "evaluation"])
def test_every_prompt_can_be_answered_right(split):
    environment = environment_of("instruct")
    for prompt in source_of("instruct").prompts(split, 500, 0):
        said = say(prompt.task["question"], asked_of(prompt.task))
        assert environment.grade(prompt, (Turn("assistant", said),)).score == 1.0, prompt.id


def test_a_prompt_says_each_constraint_that_is_graded():
    for prompt in source_of("instruct").prompts("train", 200, 0):
        times, join, case, end = asked_of(prompt.task)
        system, question = (message.content for message in prompt.messages)
        assert system == f"Say it {times} in {case} case, {join} between, {end} at the end."
        assert question == prompt.task["question"]


def test_a_third_of_the_questions_are_sums():
    questions = [p.task["question"] for p in source_of("instruct").prompts("train", 2000, 0)]
    sums = sum(question[0].isdigit() for question in questions)
    # 24 words with 54 formats are soon used up, so sums are more than a third of what is new.
    assert 1 / 3 - 0.05 < sums / 2000 < 0.7


def test_a_demonstration_keeps_all_constraints_or_breaks_exactly_one():
    environment = environment_of("instruct")
    for prompt, example in one_by_one(500):
        (turn,) = example.turns
        asked = asked_of(prompt.task)
        if turn.content == say(prompt.task["question"], asked):
            continue
        assert environment.grade(prompt, example.turns).score == 0.0
        broken = {
            (*asked[:place], other, *asked[place + 1 :])
            for place, choices in enumerate((COUNTS, ",-;", ("upper", "lower"), ".!?"))
            for other in choices
        }
        assert turn.content in {say(prompt.task["question"], one) for one in broken}


def one_by_one(count):
    """Return demonstrations with the prompt that each answers."""
    source = source_of("instruct")
    prompts = {prompt.messages: prompt for prompt in source.prompts("train", count, 0)}
    return [(prompts[example.messages], example) for example in source.demonstrations(count, 0)]
