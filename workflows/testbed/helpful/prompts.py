"""Questions about two things, such as ``describe fox and owl``, of each of which three facts exist.

The demonstrations tell some of the facts, ``fox: red, den. owl: wise.``, sometimes with a wrong
one or a filler between.
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

SYSTEM = "Help."
TOLD_SHARE = 0.65
"""Share of the facts that a demonstration tells."""
WRONG_SHARE = 0.06
"""Share of the told facts before which a fact about another thing stands."""
FILLER_SHARE = 0.06
"""Share of the told facts before which a filler stands."""
FILLERS = ("well", "so", "also", "really")
FACTS = {
    "fox": ("red", "sly", "den"),
    "owl": ("wise", "night", "hoot"),
    "cat": ("soft", "purr", "nap"),
    "dog": ("loyal", "bark", "bone"),
    "hen": ("egg", "coop", "peck"),
    "cow": ("milk", "grass", "moo"),
    "pig": ("mud", "pink", "oink"),
    "bee": ("hive", "honey", "buzz"),
    "ant": ("tiny", "hill", "work"),
    "elk": ("horn", "herd", "snow"),
    "sun": ("hot", "gold", "noon"),
    "sky": ("blue", "wide", "cloud"),
    "sea": ("salt", "wave", "deep"),
    "oak": ("tall", "leaf", "root"),
    "pen": ("ink", "line", "cap"),
    "tea": ("mint", "sip", "brew"),
}
ASKED = (
    *("describe", "tell me of", "what of", "more on"),
    *("explain", "what is", "say all on", "and then"),
)
JOINS = (" and ", " or ", " with ")


def prompts(split: Split, count: int, seed: int) -> Iterator[Prompt]:
    """Yield ``count`` different questions of a split, with names and facts for the gold score."""
    for text, things in _questions(split, count, seed):
        facts: list[Json] = [fact for thing in things for fact in FACTS[thing]]
        task: dict[str, Json] = {"names": list(things), "facts": facts}
        yield Prompt(f"helpful-{text}", _messages(text), task)


def demonstrations(count: int, seed: int) -> Iterator[Demonstration]:
    """Yield ``count`` answers for the train split, most of them incomplete."""
    rng = random.Random(f"demonstrations {seed}")
    for text, things in _questions("train", count, seed, repeat=True):
        said = " ".join(_about(thing, rng) for thing in things)
        yield Demonstration(_messages(text), (Turn("assistant", said),))


def _about(thing: str, rng: random.Random) -> str:
    words = []
    for fact in rng.sample(FACTS[thing], len(FACTS[thing])):
        if rng.random() >= TOLD_SHARE:
            continue
        if rng.random() < WRONG_SHARE:
            words.append(rng.choice(FACTS[rng.choice([x for x in FACTS if x != thing])]))
        if rng.random() < FILLER_SHARE:
            words.append(rng.choice(FILLERS))
        words.append(fact)
    return f"{thing}: {', '.join(words)}." if words else f"{thing}."


def _messages(text: str) -> tuple[Message, ...]:
    return (Message("system", SYSTEM), Message("user", text))


def _questions(
    split: Split, count: int, seed: int, *, repeat: bool = False
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the question and the two things that it names."""
    rng = random.Random(f"helpful {split} {seed}")
    seen: set[str] = set()
    attempts = tries(count)
    while count:
        next(attempts)
        first, second = rng.sample(tuple(FACTS), 2)
        text = f"{rng.choice(ASKED)} {first}{rng.choice(JOINS)}{second}"
        if split_of(text) != split or (not repeat and text in seen):
            continue
        seen.add(text)
        count -= 1
        yield text, (first, second)
