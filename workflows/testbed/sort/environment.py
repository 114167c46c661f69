"""Grades one pass of bubble sort: the letters behind the thinking block, in their own case."""

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
        """Give 1 for the question's letters after the pass, with commas between, else 0."""
        thought, closed, said = turns[-1].content.rpartition(CLOSED)
        if OPENED in said or (OPENED in thought) != bool(closed):
            return Grade(0.0, "thinking without a beginning or an end")
        letters = prompt.messages[-1].content.split(",")
        if said == ",".join(after_pass(letters)):
            return Grade(1.0)
        if sorted(said.split(",")) == sorted(letters):
            return Grade(0.0, "wrong order")
        return Grade(0.0, "not the letters of the question")


def after_pass(letters: Sequence[str]) -> list[str]:
    """Return the list after each neighbor out of order was swapped, once from left to right."""
    done = list(letters)
    for place in range(len(done) - 1):
        done[place : place + 2] = sorted(done[place : place + 2])
    return done


ENVIRONMENT = SortEnvironment()
