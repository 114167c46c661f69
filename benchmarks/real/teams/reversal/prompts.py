"""Questions of reasoning-gym's word_sequence_reversal."""

import random
import sys
from collections.abc import Iterator
from typing import Any

from tasks.rollout.environment import Demonstration, Message, Prompt, Split, Turn, split_of, tries

FAMILY = "word_sequence_reversal"
CONFIG: dict[str, Any] = {"min_words": 3, "max_words": 4}
SYSTEM = "Give the answer alone."
_NUM_QUESTIONS = 2**31


def prompts(split: Split, count: int, seed: int) -> Iterator[Prompt]:
    """Yield ``count`` different questions of a split, which the question's hash decides."""
    for prompt, _ in _drawn(split, count, seed):
        yield prompt


def demonstrations(count: int, seed: int) -> Iterator[Demonstration]:
    """Yield questions with the answers that the family gives."""
    for prompt, answer in _drawn("train", count, seed):
        yield Demonstration(prompt.messages, _turns(prompt, answer))


def _drawn(split: Split, count: int, seed: int) -> Iterator[tuple[Prompt, str]]:
    gym: Any = sys.modules["reasoning_gym"]  # environment.py has loaded it
    questions = gym.create_dataset(FAMILY, size=_NUM_QUESTIONS, seed=0, **CONFIG)  # made when read
    rng, seen, attempts = random.Random(f"reversal {split} {seed}"), set[str](), tries(count)
    while len(seen) < count:
        next(attempts)  # says so if there are not so many different questions
        drawn = rng.randrange(_NUM_QUESTIONS)
        item = questions[drawn]
        question, answer = str(item["question"]), str(item["answer"])
        if split_of(question) == split and question not in seen and answer:
            seen.add(question)
            messages = (Message("system", SYSTEM), Message("user", question))
            yield Prompt(f"reversal-{drawn}", messages, {"number": drawn}), answer


def _turns(_prompt: Prompt, answer: str) -> tuple[Turn, ...]:
    return (Turn("assistant", answer),)
