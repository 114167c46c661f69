"""A calculator that the model calls in turns, and the grade of the final answer."""

import re
from collections.abc import Sequence

from tasks.rollout.environment import Grade, Prompt, Turn

CALL = re.compile(r"<tool_call>([0-9]{1,9})([+-])([0-9]{1,9})</tool_call>")
FAILED = "error"


class Agent:
    """Up to three turns: two calls and the answer."""

    max_turns = 3

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """Answer a call with its result; anything without a call ends the episode."""
        said = turns[-1].content.strip()
        if "<tool_call>" not in said:
            return None
        call = CALL.fullmatch(said)
        if call is None:
            return FAILED
        first, second = int(call[1]), int(call[3])
        return str(first + second if call[2] == "+" else first - second)

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Return 1 for the right final number, if the model called the calculator."""
        if all(turn.role != "tool" or turn.content == FAILED for turn in turns):
            return Grade(0.0, "guessed: no call")
        if turns[-1].role == "tool" or turns[-1].content != str(prompt.task["answer"]):
            return Grade(0.0, "wrong final answer")
        return Grade(1.0)


ENVIRONMENT = Agent()
