"""Checks each constraint of a short text by string work alone."""

from collections.abc import Sequence

from tasks.rollout.environment import Grade, Prompt, Turn


class FormEnvironment:
    """One turn; every constraint must hold."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give 1 for different words of the kind with count, case, separator, end and word kept."""
        broken = _broken(prompt, turns[-1].content)
        return Grade(0.0, broken) if broken else Grade(1.0)


def _broken(prompt: Prompt, said: str) -> str:
    """Return the name of the first constraint that does not hold; "" if all hold."""
    task = prompt.task
    kind, word, end = task["kind"], str(task["word"]), str(task["end"])
    assert isinstance(kind, list)
    words = said.removesuffix(end).split(str(task["join"]))
    cased = [each.upper() if task["case"] == "upper" else each.lower() for each in words]
    plain = [each.lower() for each in words]
    checks = {
        "end mark": said.endswith(end),
        "words of the kind": said.isascii() and set(plain) <= set(map(str, kind)),
        "count": len(words) == task["count"],
        "different words": len(set(plain)) == len(plain),
        "case": words == cased,
        "word": (word in plain) == task["wanted"],
    }
    return next((name for name, holds in checks.items() if not holds), "")


ENVIRONMENT = FormEnvironment()
