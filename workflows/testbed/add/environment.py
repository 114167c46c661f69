"""Grades a sum: the digits behind the thinking block, units first, the last carry at the end."""

from collections.abc import Sequence

from tasks.rollout.environment import Grade, Prompt, Turn

OPENED, CLOSED = "<think>", "</think>"


class AddEnvironment:
    """One turn. Only what follows the thinking counts; the thinking itself is not graded."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give 1 for the expected digits, else 0."""
        thought, closed, said = turns[-1].content.rpartition(CLOSED)
        if OPENED in said or (OPENED in thought) != bool(closed):
            return Grade(0.0, "thinking without a beginning or an end")
        if said == str(prompt.task["answer"]):
            return Grade(1.0)
        is_number = said.isascii() and said.isdigit()
        return Grade(0.0, "wrong digits" if is_number else "not plain digits")


ENVIRONMENT = AddEnvironment()
