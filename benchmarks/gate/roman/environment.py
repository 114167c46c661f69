"""Grades Roman numerals."""

from collections.abc import Sequence

from tasks.rollout.environment import Grade, Prompt, Turn


class RomanNumerals:
    """One turn, no tool."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give 1 for the numeral as it is usually written."""
        right = turns[-1].content == prompt.task["numeral"]
        return Grade(1.0) if right else Grade(0.0, "wrong numeral")


ENVIRONMENT = RomanNumerals()
