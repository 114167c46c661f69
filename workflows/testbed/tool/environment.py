"""Two tools that the model calls in turns, and the grade of the final answer.

``get WORD`` looks a value up that the prompt does not show; ``12+34`` calculates. A call of another
form, such as ``find WORD``, is answered with an error, and there is one turn to spare for it.
"""

import re
from collections.abc import Sequence

from tasks.rollout.environment import Grade, Prompt, Turn

LOOK_UP = re.compile(r"<tool_call>get ([a-z]{1,9})</tool_call>")
CALCULATE = re.compile(r"<tool_call>([0-9]{1,9})([+-])([0-9]{1,9})</tool_call>")
FAILED = "error"


class ToolEnvironment:
    """Up to four turns: two calls, the answer, and one call that failed."""

    max_turns = 4

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """Answer a call with its result; anything without a call ends the episode."""
        said = turns[-1].content
        if "<tool_call>" not in said:
            return None
        looked_up, calculated = LOOK_UP.fullmatch(said), CALCULATE.fullmatch(said)
        if looked_up is not None and looked_up[1] == prompt.task["word"]:
            return str(prompt.task["value"])
        if calculated is not None:
            first, second = int(calculated[1]), int(calculated[3])
            return str(first + second if calculated[2] == "+" else first - second)
        return FAILED

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Return 1 for the right final number, if it was looked up and calculated."""
        calls = [turn.content for turn in turns[:-1] if turn.role == "assistant"]
        if not any(LOOK_UP.fullmatch(call) for call in calls):
            return Grade(0.0, "value not looked up")
        if not any(CALCULATE.fullmatch(call) for call in calls):
            return Grade(0.0, "not calculated")
        if turns[-1].role == "tool" or turns[-1].content != str(prompt.task["answer"]):
            return Grade(0.0, "wrong final answer")
        return Grade(1.0)


ENVIRONMENT = ToolEnvironment()
