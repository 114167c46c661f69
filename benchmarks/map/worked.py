"""Questions of two kinds with worked answers, of any number of steps, right or with one slip.

They are those of the testbed's ``add`` and ``sort``: sums column by column, units first, and one
pass of bubble sort over pairs of letters. A slip is one step done the wrong way: a carry that is
forgotten or invented, a pair that is swapped or left where it should not be. Later steps go on from
it. The answer is wrong then, whichever step it was.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

LETTERS = "abcdefghijklmnopqrst"
"""Twenty, so that a share of a fifth of all first letters is exact."""
DIGITS = "0123456789"
_MARK = "!"
Question = tuple[tuple[int, int], ...] | tuple[str, ...]


class Kind(StrEnum):
    """What is worked out."""

    ADD = "add"
    SORT = "sort"


@dataclass(frozen=True)
class Worked:
    """An answer with its work."""

    steps: tuple[str, ...]
    other_steps: tuple[str, ...]
    """The same steps with other marks, each at its place."""
    answer: str
    """The final answer, which is all that the grader looks at."""

    def text(self, *, marked: bool = False, other_steps: bool = False) -> str:
        """Return the thinking block and the final answer."""
        work = "".join(self.other_steps if other_steps else self.steps)
        return f"<think>{work}</think>{self.final(marked=marked)}"

    def final(self, *, marked: bool = False) -> str:
        """Return the final answer alone, with a mark at its end or without."""
        return f"{self.answer}{_MARK}" if marked else self.answer


def drawn(kind: Kind, num_steps: int, rng: random.Random) -> Question:
    """Return a question whose answer takes ``num_steps`` steps."""
    if kind is Kind.ADD:
        return tuple((rng.randrange(10), rng.randrange(10)) for _ in range(num_steps))
    return tuple(rng.sample(LETTERS, num_steps + 1))


def asked(question: Question, mark: str) -> str:
    """Return a question as text: ``8+6 3+5``, ``q,d,m``; ``mark`` takes the place of + or comma."""
    if isinstance(question[0], str):
        return mark.join(map(str, question))
    return " ".join(f"{one}{mark}{other}" for one, other in question)


def rank_of(question: Question) -> float:
    """Return where the question's first digit or letter stands among all, from 0 up to below 1."""
    first = question[0]
    if isinstance(first, str):
        return LETTERS.index(first) / len(LETTERS)
    return first[0] / len(DIGITS)


def worked(question: Question, slip: int | None = None) -> Worked:
    """Return a question's work and answer; step ``slip``, counted from 0, is done wrong."""
    if isinstance(question[0], str):
        return _sorted([str(letter) for letter in question], slip)
    return _added([pair for pair in question if isinstance(pair, tuple)], slip)


def _added(columns: Sequence[tuple[int, int]], slip: int | None) -> Worked:
    steps, other_steps, digits, carry = [], [], [], 0
    for place, (one, other) in enumerate(columns):
        taken = 1 - carry if place == slip else carry
        total = one + other + taken
        steps.append(f"{one}+{other}+{taken}={total:02d};")
        other_steps.append(f"{one}-{other}-{taken}:{total:02d},")
        digits.append(str(total % 10))
        carry = total // 10
    return Worked(tuple(steps), tuple(other_steps), "".join([*digits, str(carry)]))


def _sorted(letters: Sequence[str], slip: int | None) -> Worked:
    steps, other_steps, left_behind = [], [], []
    taken = letters[0]
    for place, letter in enumerate(letters[1:]):
        ordered = sorted((taken, letter), reverse=place == slip)
        steps.append(f"{taken},{letter}={ordered[0]}>{ordered[1]};")
        other_steps.append(f"{taken}/{letter}:{ordered[0]}<{ordered[1]},")
        left_behind.append(ordered[0])
        taken = ordered[1]
    return Worked(tuple(steps), tuple(other_steps), ",".join([*left_behind, taken]))
