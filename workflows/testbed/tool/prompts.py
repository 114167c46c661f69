"""Questions such as ``fox+48``: the value of the word is looked up, then the sum is calculated.

The value differs from question to question, so it cannot be known. The demonstrations mix proper
use of both tools with guesses of the value or of the sum. A good part of them, right or wrong,
first tries ``find WORD``, which fails and hardly changes the grade: a frequent local mistake.
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

SYSTEM = "Use tools."
RIGHT_SHARE = 0.35
"""Share of the demonstrations that look up, calculate and answer."""
MISTAKEN_SHARE = 0.4
"""Share of the demonstrations whose first call is ``find WORD``."""
WORDS = (
    *("fox", "owl", "cat", "dog", "hen", "cow", "pig", "bee", "ant", "elk", "sun", "sky"),
    *("sea", "oak", "ash", "elm", "pen", "cup", "hat", "map", "car", "bus", "jam", "tea"),
)
FAILED = "error"
Question = tuple[str, str, int, int]
"""The word, the sign, the number, and the value of the word."""


def prompts(split: Split, count: int, seed: int) -> Iterator[Prompt]:
    """Yield ``count`` different questions of a split, with value and answer for the tools."""
    for question in _questions(split, count, seed):
        word, _, _, value = question
        answer = _result(question, value)
        task: dict[str, Json] = {"word": word, "value": value, "answer": answer}
        yield Prompt(f"tool-{_text(question)}", _messages(question), task)


def demonstrations(count: int, seed: int) -> Iterator[Demonstration]:
    """Yield ``count`` episodes of the train split, ``RIGHT_SHARE`` of them with both tools."""
    rng = random.Random(f"demonstrations {seed}")
    for question in _questions("train", count, seed, repeat=True):
        yield Demonstration(_messages(question), tuple(_turns(question, rng)))


def _turns(question: Question, rng: random.Random) -> Iterator[Turn]:
    word, sign, number, value = question
    is_right, guesses_value = rng.random() < RIGHT_SHARE, rng.random() < 0.5
    if rng.random() < MISTAKEN_SHARE:
        yield from _call(f"find {word}", FAILED)
    if is_right or not guesses_value:
        yield from _call(f"get {word}", str(value))
    else:
        value = rng.choice([other for other in range(50, 100) if other != value])
    result = _result(question, value)
    if is_right or guesses_value:
        yield from _call(f"{value}{sign}{number}", result)
        yield Turn("assistant", result)
    else:
        yield Turn("assistant", str(int(result) + rng.choice((-10, -1, 1, 10))))


def _call(said: str, result: str) -> Iterator[Turn]:
    yield Turn("assistant", f"<tool_call>{said}</tool_call>")
    yield Turn("tool", result)


def _result(question: Question, value: int) -> str:
    _, sign, number, _ = question
    return str(value + number if sign == "+" else value - number)


def _text(question: Question) -> str:
    word, sign, number, _ = question
    return f"{word}{sign}{number}"


def _messages(question: Question) -> tuple[Message, ...]:
    return (Message("system", SYSTEM), Message("user", _text(question)))


def _questions(split: Split, count: int, seed: int, *, repeat: bool = False) -> Iterator[Question]:
    """Yield questions; a value is 50 to 99 and a number smaller, so results are positive."""
    rng = random.Random(f"tool {split} {seed}")
    seen: set[str] = set()
    attempts = tries(count)
    while count:
        next(attempts)
        word, sign, number = rng.choice(WORDS), rng.choice("+-"), rng.randrange(10, 50)
        # A question has the same value whenever it is drawn.
        value = random.Random(f"{word}{sign}{number}").randrange(50, 100)
        question = (word, sign, number, value)
        text = _text(question)
        if split_of(text) != split or (not repeat and text in seen):
            continue
        seen.add(text)
        count -= 1
        yield question
