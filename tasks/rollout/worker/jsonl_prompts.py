"""The ``prompts.py`` of a domain with prompts in files; it is copied into the bundle beside them.

``prompts/<split>.jsonl`` holds the prompts of a split and ``prompts/demonstrations.jsonl`` the
worked examples, in the form of ``tasks.rollout.prompts``. Standard library only, as in any bundle.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

from tasks.rollout.environment import Demonstration, Message, Prompt, Split, Turn

_FOLDER = Path(__file__).parent / "prompts"


def prompts(split: Split, count: int, seed: int) -> Iterator[Prompt]:
    """Yield ``count`` prompts of a split's file, in an order that the seed decides."""
    for row in _drawn(split, count, seed):
        yield Prompt(row["id"], _messages(row), row.get("task", {}), row.get("mode", ""))


def demonstrations(count: int, seed: int) -> Iterator[Demonstration]:
    """Yield ``count`` of the worked examples, in an order that the seed decides."""
    for row in _drawn("demonstrations", count, seed):
        turns = tuple(Turn(turn["role"], turn["content"]) for turn in row["turns"])
        yield Demonstration(_messages(row), turns, row.get("mode", ""))


def _messages(row: dict) -> tuple[Message, ...]:  # type: ignore[type-arg]
    return tuple(Message(message["role"], message["content"]) for message in row["messages"])


def _drawn(name: str, count: int, seed: int) -> list[dict]:  # type: ignore[type-arg]
    # Not splitlines(): that would also cut at line separators inside a JSON string.
    lines = (_FOLDER / f"{name}.jsonl").read_text(encoding="utf-8-sig").split("\n")
    rows = [json.loads(line) for line in lines if line.strip()]
    if len(rows) < count:
        raise ValueError(
            f"prompts/{name}.jsonl has {len(rows)} rows but {count} are needed: add rows, or "
            "lower the number in settings.py"
        )
    return random.Random(f"{name} {seed}").sample(rows, count)
