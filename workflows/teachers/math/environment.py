"""Grades a math answer: the number, as plain digits, and nothing else."""

from collections.abc import Sequence

from tasks.rollout.environment import Grade, Prompt, Turn


class Math:
    """One turn, one number. Text is compared, never evaluated."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give 1 for the expected digits, else 0."""
        said, expected = turns[-1].content.strip(), str(prompt.task["answer"])
        if said == expected:
            return Grade(1.0)
        return Grade(0.0, "wrong number" if said.isdigit() else "not a plain number")


ENVIRONMENT = Math()
