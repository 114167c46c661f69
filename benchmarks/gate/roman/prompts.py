"""Numbers from 1 to 399, to be written in Roman numerals."""

import random
from collections.abc import Iterator

from tasks.rollout.environment import Demonstration, Message, Prompt, Split, Turn, split_of

SYSTEM = "Write in Roman numerals."
RIGHT_SHARE = 0.6
LETTERS = (
    *((100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V")),
    *((4, "IV"), (1, "I")),
)


def roman(number: int) -> str:
    """Return a number in Roman numerals."""
    text = ""
    for value, letters in LETTERS:
        text += letters * (number // value)
        number %= value
    return text


def prompts(split: Split, count: int, seed: int) -> Iterator[Prompt]:
    """Yield ``count`` different numbers of a split."""
    numbers = [number for number in range(1, 400) if split_of(str(number)) == split]
    random.Random(f"roman {split} {seed}").shuffle(numbers)
    if count > len(numbers):
        raise ValueError(f"{split} has {len(numbers)} different numbers, not {count}")
    for number in numbers[:count]:
        yield Prompt(f"roman-{number}", _messages(number), {"numeral": roman(number)})


def demonstrations(count: int, seed: int) -> Iterator[Demonstration]:
    """Yield worked examples, some of them with a letter missing."""
    rng = random.Random(f"demonstrations {seed}")
    numbers = [number for number in range(1, 400) if split_of(str(number)) == "train"]
    for _ in range(count):
        number = rng.choice(numbers)
        said = roman(number)
        if rng.random() > RIGHT_SHARE:
            said = said[:-1] or "V"
        yield Demonstration(_messages(number), (Turn("assistant", said),))


def _messages(number: int) -> tuple[Message, ...]:
    return (Message("system", SYSTEM), Message("user", str(number)))
