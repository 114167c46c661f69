"""One pass of bubble sort over letters: ``q,d,m`` gives ``d,m,q``. The two cases are two languages.

The worked examples take the larger letter along and leave the smaller one, ``q,d=d>q;q,m=m>q;``,
and then give the list. Without thinking they give the list alone. Sometimes they leave a pair as it
is, some think where they should not, and some think in the other case than the question's.
"""

import random
from collections.abc import Iterator, Sequence
from string import ascii_lowercase

from tasks.rollout.environment import Demonstration, Message, Prompt, Split, Turn, split_of, tries

SYSTEM = "Sort."
NUM_LETTERS = (7, 8)
"""Least and largest number of letters."""
SWAPPED_SHARE = 0.83
"""Share of the pairs out of order that the demonstrations swap."""
THINKING_SHARE = 0.75
"""Share of the prompts in the mode "on"; the others are "off"."""
OBEDIENT_SHARE = 0.85
"""Share of the demonstrations that think if, and only if, their mode says so."""
CONSISTENT_SHARE = 0.85
"""Share of the demonstrations that think in the case of the question."""


def prompts(split: Split, count: int, seed: int) -> Iterator[Prompt]:
    """Yield ``count`` different lists of a split, with their language."""
    for letters, mode in _questions(split, count, seed):
        language = "upper" if letters[0].isupper() else "lower"
        text = ",".join(letters)
        yield Prompt(f"sort-{text}", _messages(letters), {"language": language}, mode)


def demonstrations(count: int, seed: int) -> Iterator[Demonstration]:
    """Yield ``count`` worked lists of the train split, with the slips described above."""
    rng = random.Random(f"demonstrations {seed}")
    for letters, mode in _questions("train", count, seed, repeat=True):
        swapped = [rng.random() < SWAPPED_SHARE for _ in letters[1:]]
        thinks = (mode == "on") == (rng.random() < OBEDIENT_SHARE)
        is_consistent = rng.random() < CONSISTENT_SHARE
        pairs = pairs_of(letters, swapped)
        work = "".join(f"{a},{b}={left}>{taken};" for a, b, left, taken in pairs)
        thought = f"<think>{work if is_consistent else work.swapcase()}</think>" if thinks else ""
        said = thought + ",".join([*(left for _, _, left, _ in pairs), pairs[-1][3]])
        yield Demonstration(_messages(letters), (Turn("assistant", said),), mode)


def pairs_of(letters: Sequence[str], swapped: Sequence[bool]) -> list[tuple[str, str, str, str]]:
    """Return each pair with the letter that is left and the one that is taken along.

    A pair out of order stays so where ``swapped`` is False.
    """
    pairs: list[tuple[str, str, str, str]] = []
    taken = letters[0]
    for letter, is_swapped in zip(letters[1:], swapped, strict=True):
        swaps = taken > letter and is_swapped
        left, right = (letter, taken) if swaps else (taken, letter)
        pairs.append((taken, letter, left, right))
        taken = right
    return pairs


def _messages(letters: Sequence[str]) -> tuple[Message, ...]:
    return (Message("system", SYSTEM), Message("user", ",".join(letters)))


def _questions(
    split: Split, count: int, seed: int, *, repeat: bool = False
) -> Iterator[tuple[list[str], str]]:
    """Yield the letters, all of one case, and the mode. Both cases of a list share a split."""
    rng = random.Random(f"sort {split} {seed}")
    seen: set[str] = set()
    attempts = tries(count)
    while count:
        next(attempts)
        letters = rng.sample(ascii_lowercase, rng.randint(*NUM_LETTERS))
        mode = "on" if rng.random() < THINKING_SHARE else "off"
        is_upper = rng.random() < 0.5
        text = ",".join(letters)
        if split_of(text) != split or (not repeat and text in seen):
            continue
        seen.add(text)
        count -= 1
        yield [letter.upper() if is_upper else letter for letter in letters], mode
