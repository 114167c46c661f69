"""Sums in columns, units first: ``8+6 3+5`` stands for 38 + 56.

The worked examples think column by column with the carry, ``8+6+0=14;3+5+1=09;``, and answer
``490``: the digits of the sum, units first, and the last carry. Without thinking they give the
digits alone. They forget some carries, and some think where they should not.
"""

import random
from collections.abc import Iterator, Sequence

from tasks.rollout.environment import Demonstration, Message, Prompt, Split, Turn, split_of, tries

SYSTEM = "Add."
NUM_COLUMNS = (6, 8)
"""Least and largest number of columns."""
CARRIED_SHARE = 0.7
"""Share of the carries that the demonstrations remember."""
THINKING_SHARE = 0.75
"""Share of the prompts in the mode "on"; the others are "off"."""
OBEDIENT_SHARE = 0.85
"""Share of the demonstrations that think if, and only if, their mode says so."""
Column = tuple[int, int]


def prompts(split: Split, count: int, seed: int) -> Iterator[Prompt]:
    """Yield ``count`` different sums of a split, with the answer for the grader."""
    for columns, mode in _questions(split, count, seed):
        answer = answer_of(columns, [True] * len(columns))
        yield Prompt(f"add-{_text(columns)}", _messages(columns), {"answer": answer}, mode)


def demonstrations(count: int, seed: int) -> Iterator[Demonstration]:
    """Yield ``count`` worked sums of the train split, with the slips described above."""
    rng = random.Random(f"demonstrations {seed}")
    for columns, mode in _questions("train", count, seed, repeat=True):
        carried = [rng.random() < CARRIED_SHARE for _ in columns]
        thinks = (mode == "on") == (rng.random() < OBEDIENT_SHARE)
        thought = f"<think>{steps_of(columns, carried)}</think>" if thinks else ""
        said = thought + answer_of(columns, carried)
        yield Demonstration(_messages(columns), (Turn("assistant", said),), mode)


def steps_of(columns: Sequence[Column], carried: Sequence[bool]) -> str:
    """Return the work, column by column; a carry is lost where ``carried`` is False."""
    return "".join(f"{a}+{b}+{c}={a + b + c:02d};" for a, b, c in _with_carry(columns, carried))


def answer_of(columns: Sequence[Column], carried: Sequence[bool]) -> str:
    """Return the digits of the sum, units first, and the last carry."""
    sums = [sum(column) for column in _with_carry(columns, carried)]
    return "".join(str(total % 10) for total in sums) + str(sums[-1] // 10)


def _with_carry(
    columns: Sequence[Column], carried: Sequence[bool]
) -> Iterator[tuple[int, int, int]]:
    carry = 0
    for (first, second), is_carried in zip(columns, carried, strict=True):
        taken = carry if is_carried else 0
        yield first, second, taken
        carry = (first + second + taken) // 10


def _text(columns: Sequence[Column]) -> str:
    return " ".join(f"{first}+{second}" for first, second in columns)


def _messages(columns: Sequence[Column]) -> tuple[Message, ...]:
    return (Message("system", SYSTEM), Message("user", _text(columns)))


def _questions(
    split: Split, count: int, seed: int, *, repeat: bool = False
) -> Iterator[tuple[list[Column], str]]:
    """Yield the columns and the mode."""
    rng = random.Random(f"add {split} {seed}")
    seen: set[str] = set()
    attempts = tries(count)
    while count:
        next(attempts)
        columns = [(rng.randrange(10), rng.randrange(10)) for _ in range(rng.randint(*NUM_COLUMNS))]
        mode = "on" if rng.random() < THINKING_SHARE else "off"
        text = _text(columns)
        if split_of(text) != split or (not repeat and text in seen):
            continue
        seen.add(text)
        count -= 1
        yield columns, mode
