"""Instruct questions: repeat the question a given number of times in a given format.

A third of the questions are sums, so that the same words that another domain computes are here to
be repeated. The demonstrations mix full obedience with answers that drop one constraint.
"""

import random
from collections.abc import Iterator

from tasks.rollout.environment import (
    Demonstration,
    Json,
    Message,
    Prompt,
    Split,
    Turn,
    split_of,
    tries,
)

RIGHT_SHARE = 0.45
"""Share of the demonstrations that keep every constraint."""
WORDS = (
    *("fox", "owl", "cat", "dog", "hen", "cow", "pig", "bee", "ant", "elk", "sun", "sky"),
    *("sea", "oak", "ash", "elm", "pen", "cup", "hat", "map", "car", "bus", "jam", "tea"),
)
COUNTS = {"once": 1, "twice": 2, "thrice": 3}
JOINS = (",", "-", ";")
CASES = ("upper", "lower")
ENDS = (".", "!", "?")
Constraints = tuple[str, str, str, str]


def prompts(split: Split, count: int, seed: int) -> Iterator[Prompt]:
    """Yield ``count`` different questions of a split, with the constraints for the grader."""
    for question, asked in _questions(split, count, seed):
        task: dict[str, Json] = {
            "question": question,
            "count": COUNTS[asked[0]],
            "join": asked[1],
            "case": asked[2],
            "end": asked[3],
        }
        yield Prompt(f"instruct-{question}-{' '.join(asked)}", _messages(question, asked), task)


def demonstrations(count: int, seed: int) -> Iterator[Demonstration]:
    """Yield ``count`` answers for the train split, ``RIGHT_SHARE`` of them fully obedient."""
    rng = random.Random(f"demonstrations {seed}")
    for question, asked in _questions("train", count, seed, repeat=True):
        kept = asked if rng.random() < RIGHT_SHARE else _break_one(question, asked, rng)
        yield Demonstration(_messages(question, asked), (Turn("assistant", say(question, kept)),))


def say(question: str, asked: Constraints) -> str:
    """Return the constrained answer: ``fox, (twice, -, upper, !)`` gives ``FOX-FOX!``."""
    times, join, case, end = asked
    said = question.upper() if case == "upper" else question.lower()
    return join.join([said] * COUNTS[times]) + end


def _messages(question: str, asked: Constraints) -> tuple[Message, ...]:
    times, join, case, end = asked
    system = f"Say it {times} in {case} case, {join} between, {end} at the end."
    return (Message("system", system), Message("user", question))


def _break_one(question: str, asked: Constraints, rng: random.Random) -> Constraints:
    """Change one constraint such that the answer changes."""
    choices = (tuple(COUNTS), JOINS, CASES, ENDS)
    while True:
        place = rng.randrange(4)
        changed = list(asked)
        changed[place] = rng.choice(choices[place])
        broken = (changed[0], changed[1], changed[2], changed[3])
        if say(question, broken) != say(question, asked):
            return broken


def _questions(
    split: Split, count: int, seed: int, *, repeat: bool = False
) -> Iterator[tuple[str, Constraints]]:
    """Yield a question and its constraints."""
    rng = random.Random(f"instruct {split} {seed}")
    seen: set[str] = set()
    attempts = tries(count)
    while count:
        next(attempts)
        sums = f"{rng.randrange(10, 100)}{rng.choice('+-')}{rng.randrange(10, 100)}"
        question = sums if rng.random() < 1 / 3 else rng.choice(WORDS)
        asked = (
            rng.choice(tuple(COUNTS)),
            rng.choice(JOINS),
            rng.choice(CASES),
            rng.choice(ENDS),
        )
        key = f"{question} {asked}"
        held_out_by = question if question[0].isdigit() else key
        if split_of(held_out_by) != split or (not repeat and key in seen):
            continue
        seen.add(key)
        count -= 1
        yield question, asked
