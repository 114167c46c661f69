"""Questions of reasoning-gym's products, for which there is a calculator."""

import random
import re
import sys
from collections.abc import Iterator
from typing import Any

from tasks.rollout.environment import Demonstration, Message, Prompt, Split, Turn, split_of, tries

FAMILY = "products"
CONFIG: dict[str, Any] = {"min_digits": 2, "max_digits": 3}
SYSTEM = "Use the calculator."
_NUM_QUESTIONS = 2**31


def prompts(split: Split, count: int, seed: int) -> Iterator[Prompt]:
    """Yield ``count`` different questions of a split, which the question's hash decides."""
    for prompt, _ in _drawn(split, count, seed):
        yield prompt


def demonstrations(count: int, seed: int) -> Iterator[Demonstration]:
    """Yield episodes with one call of the calculator and its answer."""
    for prompt, answer in _drawn("train", count, seed):
        yield Demonstration(prompt.messages, _turns(prompt, answer))


def _drawn(split: Split, count: int, seed: int) -> Iterator[tuple[Prompt, str]]:
    gym: Any = sys.modules["reasoning_gym"]  # environment.py has loaded it
    questions = gym.create_dataset(FAMILY, size=_NUM_QUESTIONS, seed=0, **CONFIG)  # made when read
    rng, seen, attempts = random.Random(f"calculator {split} {seed}"), set[str](), tries(count)
    while len(seen) < count:
        next(attempts)  # says so if there are not so many different questions
        drawn = rng.randrange(_NUM_QUESTIONS)
        item = questions[drawn]
        question, answer = str(item["question"]), str(item["answer"])
        if split_of(question) == split and question not in seen and answer:
            seen.add(question)
            messages = (Message("system", SYSTEM), Message("user", question))
            yield Prompt(f"calculator-{drawn}", messages, {"number": drawn}), answer


def _turns(prompt: Prompt, answer: str) -> tuple[Turn, ...]:
    numbers = re.findall("[0-9]+", prompt.messages[-1].content)
    call = Turn("assistant", f"<tool_call>{' * '.join(numbers)}</tool_call>")
    return (call, Turn("tool", answer), Turn("assistant", answer))
