"""Grades a math answer: the number, as plain digits, alone or behind the question and ``=``."""

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
        said, question = turns[-1].content, prompt.messages[-1].content
        answer = said.removeprefix(f"{question}=")
        if answer == str(prompt.task["answer"]):
            return Grade(1.0)
        is_number = answer.isascii() and answer.isdigit()
        return Grade(0.0, "wrong number" if is_number else "not a plain number")


ENVIRONMENT = Math()
