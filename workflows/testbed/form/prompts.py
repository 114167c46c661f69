"""Short texts under constraints: ``3 animals, upper, - between, ! at the end, no fox``.

Any words of the kind will do: ``OWL-CAT-HEN!`` and ``PIG-DOG-ANT!`` are both right. The
demonstrations mix full obedience with texts that break one constraint.
"""

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

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

SYSTEM = "Write."
RIGHT_SHARE = 0.4
"""Share of the demonstrations that keep every constraint."""
KINDS = {
    "animals": ("fox", "owl", "cat", "dog", "hen", "cow", "pig", "bee", "ant", "elk"),
    "things": ("pen", "cup", "hat", "map", "car", "bus", "jam", "tea"),
    "places": ("sun", "sky", "sea", "oak", "ash", "elm"),
}
CASES = ("upper", "lower")
JOINS = (",", "-", ";")
ENDS = (".", "!", "?")


@dataclass(frozen=True)
class Constraints:
    """What a text must keep."""

    topic: str
    count: int
    case: str
    join: str
    end: str
    word: str
    wanted: bool
    """Whether the word must be there; else it must not."""


def prompts(split: Split, count: int, seed: int) -> Iterator[Prompt]:
    """Yield ``count`` different orders of a split, with the constraints for the grader."""
    for asked in _questions(split, count, seed):
        task: dict[str, Json] = {**asdict(asked), "kind": list(KINDS[asked.topic])}
        yield Prompt(f"form-{_text(asked)}", _messages(asked), task)


def demonstrations(count: int, seed: int) -> Iterator[Demonstration]:
    """Yield ``count`` texts for the train split, ``RIGHT_SHARE`` of them fully obedient."""
    rng = random.Random(f"demonstrations {seed}")
    for asked in _questions("train", count, seed, repeat=True):
        kept = asked if rng.random() < RIGHT_SHARE else _break_one(asked, rng)
        yield Demonstration(_messages(asked), (Turn("assistant", say(kept, rng)),))


def say(asked: Constraints, rng: random.Random) -> str:
    """Return some text that keeps the constraints."""
    others = [word for word in KINDS[asked.topic] if word != asked.word]
    words = rng.sample(others, asked.count - asked.wanted)
    if asked.wanted:
        words.insert(rng.randrange(asked.count), asked.word)
    text = asked.join.join(words)
    return (text.upper() if asked.case == "upper" else text) + asked.end


def _text(asked: Constraints) -> str:
    word = f"{'with' if asked.wanted else 'no'} {asked.word}"
    return (
        f"{asked.count} {asked.topic}, {asked.case}, {asked.join} between, {asked.end} at the "
        f"end, {word}"
    )


def _messages(asked: Constraints) -> tuple[Message, ...]:
    return (Message("system", SYSTEM), Message("user", _text(asked)))


def _break_one(asked: Constraints, rng: random.Random) -> Constraints:
    """Change one constraint to another value."""
    broken = (
        replace(asked, count=asked.count + rng.choice((-1, 1))),
        replace(asked, case=CASES[asked.case == "upper"]),
        replace(asked, join=rng.choice([join for join in JOINS if join != asked.join])),
        replace(asked, end=rng.choice([end for end in ENDS if end != asked.end])),
        replace(asked, wanted=not asked.wanted),
    )
    return rng.choice(broken)


def _questions(
    split: Split, count: int, seed: int, *, repeat: bool = False
) -> Iterator[Constraints]:
    rng = random.Random(f"form {split} {seed}")
    seen: set[str] = set()
    attempts = tries(count)
    while count:
        next(attempts)
        topic = rng.choice(tuple(KINDS))
        asked = Constraints(
            topic=topic,
            count=rng.randint(2, 4),
            case=rng.choice(CASES),
            join=rng.choice(JOINS),
            end=rng.choice(ENDS),
            word=rng.choice(KINDS[topic]),
            wanted=rng.random() < 0.5,
        )
        text = _text(asked)
        if split_of(text) != split or (not repeat and text in seen):
            continue
        seen.add(text)
        count -= 1
        yield asked
