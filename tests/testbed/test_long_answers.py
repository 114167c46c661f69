"""Add and sort: answers of many steps, with and without thinking."""

import pytest

from tests.support.bed_domains import answered, environment_of, grade_of, source_of
from workflows.testbed.add.prompts import answer_of, steps_of
from workflows.testbed.sort.environment import after_pass
from workflows.testbed.sort.prompts import pairs_of

# 38 + 56, units first: 8 + 6 = 14, then 3 + 5 and the carry of 1 = 9; no carry is left.
COLUMNS = [(8, 6), (3, 5)]
LONG = pytest.mark.parametrize("name", ["add", "sort"])


def test_work_goes_column_by_column_with_the_carry():
    assert steps_of(COLUMNS, [True, True]) == "8+6+0=14;3+5+1=09;"
    assert answer_of(COLUMNS, [True, True]) == "490"
    assert answer_of([(9, 9), (9, 9)], [True, True]) == "891"  # 99 + 99 = 198


def test_a_lost_carry_makes_the_next_column_wrong():
    assert steps_of(COLUMNS, [True, False]) == "8+6+0=14;3+5+0=08;"
    assert answer_of(COLUMNS, [True, False]) == "480"


def test_the_larger_letter_is_taken_along_and_the_smaller_one_is_left():
    assert pairs_of("qdz", [True, True]) == [("q", "d", "d", "q"), ("q", "z", "q", "z")]
    assert pairs_of("qdz", [False, True]) == [("q", "d", "q", "d"), ("d", "z", "d", "z")]
    assert after_pass(list("qdma")) == list("dmaq")  # one pass alone does not sort


@pytest.mark.parametrize(
    "said", ["490", "<think>8+6+0=14;3+5+1=09;</think>490", "<think>a</think>490"]
)
def test_the_digits_behind_the_thinking_count(said):
    assert grade_of("add", "8+6 3+5", {"answer": "490"}, said).score == 1.0


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("480", "wrong digits"),
        ("0490", "wrong digits"),
        ("94", "wrong digits"),
        ("490 ", "not plain digits"),
        ("", "not plain digits"),
        ("\uff14\uff190", "not plain digits"),  # full-width digits
        ("8+6+0=14;3+5+1=09;490", "not plain digits"),
        ("<think>490", "thinking without a beginning or an end"),
        ("490</think>490", "thinking without a beginning or an end"),
        ("<think>8</think><think>490", "thinking without a beginning or an end"),
    ],
    ids=ascii,
)
def test_other_digits_and_broken_thinking_are_wrong(said, reason):
    grade = grade_of("add", "8+6 3+5", {"answer": "490"}, said)
    assert (grade.score, grade.reason) == (0.0, reason)


@pytest.mark.parametrize("said", ["d,m,q", "<think>Q,D=D>Q;</think>d,m,q"])
def test_the_letters_after_the_pass_are_right_whatever_the_language_of_the_thinking(said):
    assert grade_of("sort", "q,d,m", {}, said).score == 1.0


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("d,q,m", "wrong order"),
        ("D,M,Q", "not the letters of the question"),
        ("d,m", "not the letters of the question"),
        ("d,m,m,q", "not the letters of the question"),
        ("d,m,q,", "not the letters of the question"),
        ("", "not the letters of the question"),
        ("<think>q,d=d>q;q,m=m>q;", "thinking without a beginning or an end"),
        ("</think>d,m,q", "thinking without a beginning or an end"),
    ],
    ids=ascii,
)
def test_other_letters_and_another_order_are_wrong(said, reason):
    grade = grade_of("sort", "q,d,m", {}, said)
    assert (grade.score, grade.reason) == (0.0, reason)


@LONG
def test_every_prompt_is_solved_by_its_own_steps(name):
    environment = environment_of(name)
    solved = [
        (prompt, example)
        for prompt, example in answered(name, 400)
        if environment.grade(prompt, example.turns).score == 1.0
    ]
    assert {prompt.mode for prompt, _ in solved} == {"on", "off"}


@LONG
def test_the_share_of_modes_and_of_obedience_is_as_stated(name):
    source = source_of(name)
    examples = [example for _, example in answered(name, 1000)]
    thinking = [example.mode == "on" for example in examples]
    thinks = [example.turns[-1].content.startswith("<think>") for example in examples]
    # The standard error of a share among 1,000 is below 0.014; four of them.
    assert sum(thinking) / 1000 == pytest.approx(source.THINKING_SHARE, abs=0.055)
    obeys = [is_on == does for is_on, does in zip(thinking, thinks, strict=True)]
    assert sum(obeys) / 1000 == pytest.approx(source.OBEDIENT_SHARE, abs=0.05)


def test_some_of_the_thinking_is_in_the_other_language_and_no_answer():
    consistent = []
    for prompt, example in answered("sort", 1000):
        is_upper = prompt.task["language"] == "upper"
        thought, _, said = example.turns[-1].content.removeprefix("<think>").rpartition("</think>")
        assert said.isupper() == is_upper
        if thought:
            assert thought.isupper() or thought.islower()
            consistent.append(thought.isupper() == is_upper)
    # About 680 of them think; the standard error is 0.014.
    assert sum(consistent) / len(consistent) == pytest.approx(0.85, abs=0.06)
