"""Checks each constraint of an answer by string work alone, as IFEval does."""

from collections.abc import Mapping, Sequence

from tasks.rollout.environment import Grade, Json, Prompt, Turn

_MARK = "\0"


class Instruct:
    """One turn; every constraint must hold."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Return 1 if count, case, separator and end mark all match the instruction."""
        task, said = prompt.task, turns[-1].content
        end, join, case = str(task["end"]), str(task["join"]), str(task["case"])
        question, count = str(task["question"]), int(str(task["count"]))
        cased = question.upper() if case == "upper" else question.lower()
        if said == join.join([cased] * count) + end:
            return Grade(1.0)
        return Grade(0.0, _reason(prompt.task, said))


def _reason(task: Mapping[str, Json], said: str) -> str:
    """Say which constraint is broken first."""
    end, join, question = str(task["end"]), str(task["join"]), str(task["question"])
    if not said.endswith(end):
        return "end mark"
    # The question may hold the separator itself, as 52-17 does.
    body = said.removesuffix(end).lower().replace(question.lower(), _MARK)
    parts = body.split(join) if task["count"] != 1 else [body]
    if len(parts) != task["count"]:
        return "count or separator"
    return "case" if all(part == _MARK for part in parts) else "not the question"


ENVIRONMENT = Instruct()
