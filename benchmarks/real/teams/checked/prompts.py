"""Requests for a sentence with two instructions of IFEval, in that benchmark's own words."""

import random
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.rollout.environment import Demonstration, Message, Prompt, Split, Turn, split_of, tries

SYSTEM = "Write one sentence."
SUBJECTS = (
    *("a river", "a train", "the moon", "a farmer", "a school", "the sea", "a garden", "a doctor"),
    *("winter", "a bridge", "music", "a small town", "bread", "a horse", "the market", "rain"),
    *("a teacher", "the forest", "a letter", "coffee", "a painter", "the wind", "a library"),
    *("an old house", "a ship", "a child", "the desert", "a clock", "a sailor", "the harvest"),
)
KEYWORDS = ("light", "stone", "quiet", "window", "summer", "road", "friend", "green", "story")
ENDINGS = ("Thank you.", "That is all.", "Good night.", "Any questions?")
PLAIN = (
    *("{} is part of many good stories", "Many people think of {} on a long day"),
    *("There is much to learn from {}", "I have always been fond of {}"),
)
_QUOTED = "startend:quotation"
_ORDER = (
    *("keywords:existence", "detectable_format:number_highlighted_sections"),
    *("detectable_content:number_placeholders", "punctuation:no_comma"),
    *("detectable_format:title", "startend:end_checker", _QUOTED),
)
"""Instructions in the order in which a demonstration carries them out."""


def prompts(split: Split, count: int, seed: int) -> Iterator[Prompt]:
    """Yield ``count`` different requests of a split, which the request's hash decides."""
    for prompt, _ in _drawn(split, count, seed):
        yield prompt


def demonstrations(count: int, seed: int) -> Iterator[Demonstration]:
    """Yield requests with a sentence that follows both instructions."""
    for prompt, said in _drawn("train", count, seed):
        yield Demonstration(prompt.messages, (Turn("assistant", said),))


def _drawn(split: Split, count: int, seed: int) -> Iterator[tuple[Prompt, str]]:
    rng, seen, attempts = random.Random(f"checked {split} {seed}"), set[str](), tries(count)
    while len(seen) < count:
        next(attempts)  # says so if there are not so many different requests
        subject = rng.choice(SUBJECTS)
        names = sorted(rng.sample(_ORDER, 2), key=_ORDER.index)
        arguments = [_arguments(name, rng) for name in names]
        told = [_told(name, given) for name, given in zip(names, arguments, strict=True)]
        request = " ".join([f"Write about {subject}.", *told])
        said = rng.choice(PLAIN).format(subject)
        if split_of(request) == split and request not in seen:
            seen.add(request)
            messages = (Message("system", SYSTEM), Message("user", request))
            task: dict[str, Any] = {
                "instructions": [*names],
                "arguments": [dict(each) for each in arguments],
            }
            yield (
                Prompt(f"checked-{request}", messages, task),
                _carried_out(f"{said[0].upper()}{said[1:]}", subject, names, arguments),
            )


def _arguments(name: str, rng: random.Random) -> dict[str, Any]:
    match name.partition(":")[2]:
        case "existence":
            return {"keywords": sorted(rng.sample(KEYWORDS, 2))}
        case "number_highlighted_sections":
            return {"num_highlights": 1}
        case "number_placeholders":
            return {"num_placeholders": rng.choice((1, 2))}
        case "end_checker":
            return {"end_phrase": rng.choice(ENDINGS)}
        case _:
            return {}


def _told(name: str, arguments: Mapping[str, Any]) -> str:
    registry: Any = sys.modules["if_verifiable.ifeval.instructions_registry"]
    return str(registry.INSTRUCTION_DICT[name](name).build_description(**arguments))


def _carried_out(said: str, subject: str, names: list[str], arguments: list[dict[str, Any]]) -> str:
    """Return a sentence that follows the instructions, which are in the order of ``_ORDER``."""
    given = dict(zip(names, arguments, strict=True))
    text = said
    if words := given.get("keywords:existence", {}).get("keywords"):
        text += f" and of the {' and the '.join(words)}"
    if "detectable_format:number_highlighted_sections" in given:
        text = text.replace(subject, f"*{subject}*").replace(subject.capitalize(), f"*{subject}*")
    marks = given.get("detectable_content:number_placeholders", {}).get("num_placeholders", 0)
    text += "".join((" in [place]", " at [time]")[:marks]) + "."
    if "detectable_format:title" in given:
        text = f"<<{subject}>> {text}"
    if ending := given.get("startend:end_checker", {}).get("end_phrase"):
        text += f" {ending}"
    return f'"{text}"' if _QUOTED in given else text
