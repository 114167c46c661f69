"""Checks each constraint of an answer by string work alone, as IFEval does."""

from collections.abc import Sequence

from tasks.rollout.environment import Grade, Prompt, Turn


class Instruct:
    """One turn; every constraint must hold."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give 1 when the end mark, the case, the count and the separator are all as asked."""
        task, said = prompt.task, turns[-1].content
        end, join, case = str(task["end"]), str(task["join"]), str(task["case"])
        question, count = str(task["question"]), int(str(task["count"]))
        if not said.endswith(end):
            return Grade(0.0, "end mark")
        parts = said[: -len(end)].split(join) if count > 1 else [said[: -len(end)]]
        if len(parts) != count:
            return Grade(0.0, "count or separator")
        if any(part.lower() != question.lower() for part in parts):
            return Grade(0.0, "not the question")
        cased = question.upper() if case == "upper" else question.lower()
        return Grade(1.0) if all(part == cased for part in parts) else Grade(0.0, "case")


ENVIRONMENT = Instruct()
