"""The thoughts of a response: what a model writes before its answer, up to a closing tag.

Standard library only. The opening tag may be in the prompt, as some templates write it.
"""

from collections.abc import Sequence

from tasks.rollout.environment import Turn

THINK_START, THINK_END = "<think>", "</think>"


def without_thoughts(text: str) -> str:
    """Return the answer of a model's turn: what follows the last closing tag.

    A turn without tags is all answer, and one whose thoughts never end has none.
    """
    _, end, answer = text.rpartition(THINK_END)
    if not end:
        return text.partition(THINK_START)[0].strip() if THINK_START in text else text
    return answer.strip()


def has_thoughts(text: str) -> bool:
    """Return whether a turn holds thoughts, ended or not; an empty pair of tags holds none."""
    before, end, _ = text.rpartition(THINK_END)
    thought = before if end else text if THINK_START in text else ""
    return bool(thought.replace(THINK_START, "").replace(THINK_END, "").strip())


def obeys_mode(mode: str, turns: Sequence[Turn]) -> bool | None:
    """Return whether a response thinks if, and only if, its mode is "on"; None for other modes.

    One turn with thoughts is enough to think.
    """
    if mode not in ("on", "off"):
        return None
    thinks = any(turn.role == "assistant" and has_thoughts(turn.content) for turn in turns)
    return thinks == (mode == "on")
