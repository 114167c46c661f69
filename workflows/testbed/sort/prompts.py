"""Letters to be sorted: ``q,d,m`` gives ``d,m,q``. Upper and lower case are the two languages.

The worked examples insert one letter at a time, ``q:q;d:d,q;m:d,m,q;``, and then give the list.
Without thinking they give the list alone. Sometimes a letter is appended instead of inserted, some
examples think where they should not, and some think in the other case than the question's.
"""

import random
from collections.abc import Iterator, Sequence
from string import ascii_lowercase

from tasks.rollout.environment import Demonstration, Message, Prompt, Split, Turn, split_of, tries

SYSTEM = "Sort."
NUM_LETTERS = (6, 7)
"""Least and largest number of letters."""
APPENDED_SHARE = 0.2
"""Share of the letters that the demonstrations append instead of inserting them."""
THINKING_SHARE = 0.75
"""Share of the prompts in the mode "on"; the others are "off"."""
OBEDIENT_SHARE = 0.85
"""Share of the demonstrations that think if, and only if, their mode says so."""
CONSISTENT_SHARE = 0.75
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
        inserted = [rng.random() >= APPENDED_SHARE for _ in letters]
        thinks = (mode == "on") == (rng.random() < OBEDIENT_SHARE)
        is_consistent = rng.random() < CONSISTENT_SHARE
        lists = lists_of(letters, inserted)
        work = steps_of(letters, lists)
        thought = f"<think>{work if is_consistent else work.swapcase()}</think>" if thinks else ""
        said = thought + ",".join(lists[-1])
        yield Demonstration(_messages(letters), (Turn("assistant", said),), mode)


def steps_of(letters: Sequence[str], lists: Sequence[Sequence[str]]) -> str:
    """Return the work: each letter, and the list after it."""
    return "".join(
        f"{letter}:{','.join(done)};" for letter, done in zip(letters, lists, strict=True)
    )


def lists_of(letters: Sequence[str], inserted: Sequence[bool]) -> list[list[str]]:
    """Return the list after each letter; a letter is appended where ``inserted`` is False."""
    lists: list[list[str]] = []
    done: list[str] = []
    for letter, is_inserted in zip(letters, inserted, strict=True):
        larger = (place for place, other in enumerate(done) if other > letter)
        place = next(larger, len(done)) if is_inserted else len(done)
        done = [*done[:place], letter, *done[place:]]
        lists.append(done)
    return lists


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
