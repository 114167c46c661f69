"""Agent questions: sums of larger numbers, in one or two steps, for which there is a calculator.

The calculator takes one operation at a time. The demonstrations mix proper tool use with guesses
and with runs that stop one step early.
"""

import random
from collections.abc import Iterator

from tasks.rollout.environment import Demonstration, Message, Prompt, Split, Turn, split_of, tries

SYSTEM = "Use the calculator."
RIGHT_SHARE = 0.4
"""Share of the demonstrations that call the calculator as often as needed."""
TWO_STEP_SHARE = 0.3


def prompts(split: Split, count: int, seed: int) -> Iterator[Prompt]:
    """Yield ``count`` different questions of a split, with the answer for the grader."""
    for question, steps in _questions(split, count, seed):
        yield Prompt(f"agent-{question}", _messages(question), {"answer": steps[-1][1]})


def demonstrations(count: int, seed: int) -> Iterator[Demonstration]:
    """Yield ``count`` episodes of the train split, ``RIGHT_SHARE`` of them with full tool use."""
    rng = random.Random(f"demonstrations {seed}")
    for question, steps in _questions("train", count, seed, repeat=True):
        right = rng.random() < RIGHT_SHARE
        done = steps if right else steps[: rng.randrange(len(steps))]
        answer = done[-1][1] if done else _guess(steps[-1][1], rng)
        yield Demonstration(_messages(question), (*_tool_turns(done), Turn("assistant", answer)))


def _messages(question: str) -> tuple[Message, ...]:
    return (Message("system", SYSTEM), Message("user", question))


def _tool_turns(steps: list[tuple[str, str]]) -> Iterator[Turn]:
    for operation, result in steps:
        yield Turn("assistant", f"<tool_call>{operation}</tool_call>")
        yield Turn("tool", result)


def _guess(answer: str, rng: random.Random) -> str:
    """Return a number of the right length that is wrong."""
    wrong = int(answer) + rng.choice((-1, 1)) * rng.randrange(1, 90)
    return str(wrong if wrong > 0 else int(answer) + 9)


def _questions(
    split: Split, count: int, seed: int, *, repeat: bool = False
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the question and the calculator's steps: (operation, result) one by one."""
    rng = random.Random(f"agent {split} {seed}")
    seen: set[str] = set()
    attempts = tries(count)
    while count:
        next(attempts)
        total = rng.randrange(10, 500)
        question, steps = str(total), []
        for _ in range(2 if rng.random() < TWO_STEP_SHARE else 1):
            number = rng.randrange(10, 500)
            sign = "+" if number >= total or rng.random() < 0.5 else "-"
            before, total = total, total + number if sign == "+" else total - number
            question += f"{sign}{number}"
            steps.append((f"{before}{sign}{number}", str(total)))
        if split_of(question) != split or (not repeat and question in seen):
            continue
        seen.add(question)
        count -= 1
        yield question, steps
