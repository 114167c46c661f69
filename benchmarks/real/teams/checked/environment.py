"""Grades responses by the instruction checkers of IFEval, from the package if-verifiable."""

import importlib
from collections.abc import Sequence
from typing import Any

from tasks.rollout.absent import stand_in_for
from tasks.rollout.environment import Grade, Prompt, Turn

LONGEST = 4000
"""Characters of a response that are read, counted from its start."""
ABSENT = ("datasets", "emoji", "langdetect", "nltk", "syllapy")
"""Packages that if-verifiable imports and this release does not carry: for the benchmarks' data,
and for checkers of languages, sentences and words."""
stand_in_for(*ABSENT)
REGISTRY = importlib.import_module("if_verifiable.ifeval.instructions_registry")
_evaluate: Any = importlib.import_module("if_verifiable.common").evaluate_instructions


class Checked:
    """One turn, no tool."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give 1 for a response that follows every instruction, in the strict reading."""
        names: Any = prompt.task["instructions"]
        arguments: Any = prompt.task["arguments"]
        question = prompt.messages[-1].content
        said = turns[-1].content[:LONGEST]
        results, scores = _evaluate(said, names, arguments, question, REGISTRY.INSTRUCTION_DICT)
        missed = [result.instruction_id for result in results if not result.strict_pass]
        right = len(results) == len(names) and scores.binary_strict == 1
        return Grade(1.0) if right else Grade(0.0, f"not followed: {', '.join(missed)}")


ENVIRONMENT = Checked()
