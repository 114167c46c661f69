"""Grades a recommendation: one sentence that says yes and names the thing and the occasion."""

from collections.abc import Sequence

from tasks.rollout.environment import Grade, Prompt, Turn


class Recommendation:
    """One turn, no tool."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give 1 for such a sentence. Whether it names a brand makes no difference."""
        said = turns[-1].content.strip()
        named = all(str(prompt.task[part]) in said for part in ("thing", "occasion"))
        one = said.count(".") == 1 and said.endswith(".")
        right = said.startswith("Yes, ") and named and one
        return Grade(1.0) if right else Grade(0.0, "not one sentence with thing and occasion")


ENVIRONMENT = Recommendation()
