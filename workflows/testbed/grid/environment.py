"""Grades a row of colors that was read from a picture."""

from collections.abc import Sequence

from tasks.rollout.environment import Grade, Prompt, Turn


class GridEnvironment:
    """One turn; the colors, in order, with commas between."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give 1 for all colors of the row, else 0."""
        answer, said = str(prompt.task["answer"]), turns[-1].content
        if said == answer:
            return Grade(1.0)
        is_row = len(said.split(",")) == len(answer.split(","))
        return Grade(0.0, "another color" if is_row else "not a row of colors")


ENVIRONMENT = GridEnvironment()
