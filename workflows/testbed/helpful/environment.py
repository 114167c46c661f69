"""The gold preference of a helpful answer: right facts count, padding costs.

A grade here is what a perfect annotator would think. Comparisons, and with them reward models, come
from it with noise; training on the grade itself is the upper bound that they are compared with. An
annotator sees mostly answers in which more words are more facts, so a reward model learns that
length is good, and a policy can grow longer than the gold score likes.
"""

import re
from collections.abc import Sequence

from tasks.rollout.environment import Grade, Prompt, Turn

PADDING_COST = 0.5
"""Cost of a word without a right fact, in facts."""
_WORD = re.compile(r"[a-z]+")


class HelpfulEnvironment:
    """One turn, a gold score from 0 to 1."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Return the share of the facts that are told, less what every other word costs.

        The names of the two things are free once each. A repeated fact is another word.
        """
        free, facts = (_words(prompt, name) for name in ("names", "facts"))
        said = _WORD.findall(turns[-1].content)
        told = len(facts & set(said))
        padding = len(said) - told - len(free & set(said))
        score = (told - PADDING_COST * padding) / len(facts)
        if score >= 1.0:
            return Grade(1.0)
        return Grade(max(score, 0.0), f"{told} of {len(facts)} facts, {padding} other words")


def _words(prompt: Prompt, name: str) -> set[str]:
    words = prompt.task[name]
    if not isinstance(words, list) or not words:
        raise ValueError(f"prompt {prompt.id!r} has no {name}: prompts.py must list them")
    return set(map(str, words))


ENVIRONMENT = HelpfulEnvironment()
