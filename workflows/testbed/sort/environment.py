"""Grades a sorted list: the letters behind the thinking block, in order and in their own case."""

from collections.abc import Sequence

from tasks.rollout.environment import Grade, Prompt, Turn

OPENED, CLOSED = "<think>", "</think>"


class SortEnvironment:
    """One turn. Only what follows the thinking counts; the thinking itself is not graded."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give 1 for the question's letters in order, with commas between, else 0."""
        thought, closed, said = turns[-1].content.rpartition(CLOSED)
        if OPENED in said or (OPENED in thought) != bool(closed):
            return Grade(0.0, "thinking without a beginning or an end")
        expected = sorted(prompt.messages[-1].content.split(","))
        if said == ",".join(expected):
            return Grade(1.0)
        if sorted(said.split(",")) == expected:
            return Grade(0.0, "wrong order")
        return Grade(0.0, "not the letters of the question")


ENVIRONMENT = SortEnvironment()
