"""Pre-training text: repeatable, true, and without a question that is held out."""

import re
from collections import Counter

from tasks.rollout.environment import split_of
from tasks.sft.scratch import documents

LINES = list(documents(20_000, seed=0))
QUESTION = re.compile(r"(?<!\d)(\d+)([+-])(\d+)(?!\d)")
ANSWERED = re.compile(r"(?<!\d)(?=(\d+)([+-])(\d+)=(\d+)(?!\d))")
"""With look-ahead, because in a chain one answer is the next question's first number."""


def value_of(first, sign, second):
    return int(first) + int(second) if sign == "+" else int(first) - int(second)


def test_text_is_repeatable_from_its_seed():
    assert list(documents(20_000, seed=0)) == LINES
    assert list(documents(50, seed=1)) != LINES[:50]


def test_the_corpus_has_the_configured_size():
    assert list(documents(7, seed=0)) == LINES[:7]
    assert list(documents(0, seed=0)) == []


def test_all_that_is_worked_out_is_right_and_in_the_train_split():
    answered = [match.groups() for line in LINES for match in ANSWERED.finditer(line)]
    # "345-67=345-67" says a number again; it works nothing out.
    worked_out = [(a, s, b) for a, s, b, said in answered if int(said) == value_of(a, s, b)]
    assert len(worked_out) > 15_000
    assert {split_of("".join(question)) for question in worked_out} == {"train"}


def test_a_chain_goes_on_from_its_own_last_number():
    chain = re.compile(r"\d\d(?:[+-]\d\d=\d\d)+")
    chains = [line for line in LINES if chain.fullmatch(line)]
    assert len(chains) > 5_000
    for line in chains:
        first, *steps = re.split(r"(?=[+-])", line)
        total = int(first)
        for step in steps:
            number, result = re.fullmatch(r"[+-](\d+)=(\d+)", step).groups()
            total = value_of(total, step[0], number)
            assert total == int(result)


def test_no_line_holds_a_question_of_a_held_out_split():
    questions = {"".join(m.groups()) for line in LINES for m in QUESTION.finditer(line)}
    assert Counter(split_of(question) for question in questions).keys() == {"train"}
