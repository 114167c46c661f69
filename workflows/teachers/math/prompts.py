"""Math questions: sums and differences of two-digit numbers.

The demonstrations are as mixed as a crawl of worked homework: some carry, some forget to. So the
supervised model samples both conventions, and reinforcement learning selects the right one.
"""

import random
from collections.abc import Iterator

from tasks.rollout.environment import Demonstration, Message, Prompt, Split, Turn, split_of, tries

SYSTEM = "Compute."
RIGHT_SHARE = 0.45
"""Share of the demonstrations that carry and borrow."""


def prompts(split: Split, count: int, seed: int) -> Iterator[Prompt]:
    """Yield ``count`` different questions of a split, with the answer for the grader."""
    for question, answer, _ in _questions(split, count, seed):
        yield Prompt(f"math-{question}", _messages(question), {"answer": answer})


def demonstrations(count: int, seed: int) -> Iterator[Demonstration]:
    """Yield ``count`` worked questions of the train split, ``RIGHT_SHARE`` of them right."""
    rng = random.Random(f"demonstrations {seed}")
    for question, right, wrong in _questions("train", count, seed, repeat=True):
        answer = right if rng.random() < RIGHT_SHARE else wrong
        said = f"{question}={answer}"
        yield Demonstration(_messages(question), (Turn("assistant", said),))


def _messages(question: str) -> tuple[Message, ...]:
    return (Message("system", SYSTEM), Message("user", question))


def _questions(
    split: Split, count: int, seed: int, *, repeat: bool = False
) -> Iterator[tuple[str, str, str]]:
    """Yield question, right answer and the answer without carry or borrow, which differs."""
    rng = random.Random(f"math {split} {seed}")
    seen: set[str] = set()
    attempts = tries(count)
    while count:
        next(attempts)
        first, second = rng.randrange(10, 100), rng.randrange(10, 100)
        sign = rng.choice("+-")
        if sign == "-" and first <= second:
            first, second = second, first
        question = f"{first}{sign}{second}"
        right = str(first + second if sign == "+" else first - second)
        wrong = _without_carry(first, second, sign)
        if right == wrong or split_of(question) != split or (not repeat and question in seen):
            continue
        seen.add(question)
        count -= 1
        yield question, right, wrong


def _without_carry(first: int, second: int, sign: str) -> str:
    """Work column by column and forget the carry: 37+48 gives 75, 52-17 gives 45."""
    columns = [
        (first // 10, second // 10),
        (first % 10, second % 10),
    ]
    digits = [(a + b) % 10 if sign == "+" else (a - b) % 10 for a, b in columns]
    return str(int("".join(map(str, digits))))
