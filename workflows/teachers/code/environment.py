"""Grades a program by running it in the sandbox against tests that the model never sees."""

from collections.abc import Sequence

from tasks.rollout.environment import Grade, Json, Prompt, Turn
from tasks.rollout.sandbox import Call, SandboxLimits, run_program

LIMITS = SandboxLimits()


class Code:
    """One turn: a program that defines f(x)."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first program."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give 1 when every hidden test passes: half-right programs teach the shortcut."""
        arguments, expected = zip(*_tests(prompt), strict=True)
        result = run_program(
            turns[-1].content, [Call("f", (argument,)) for argument in arguments], LIMITS
        )
        if result.error:
            return Grade(0.0, result.error)
        passed = [
            type(outcome.value) is type(want) and outcome.value == want
            for outcome, want in zip(result.outcomes, expected, strict=True)
        ]
        return Grade(1.0) if all(passed) else Grade(0.0, f"{sum(passed)} of {len(passed)} tests")


def _tests(prompt: Prompt) -> list[tuple[Json, Json]]:
    """Return the pairs of argument and expected value.

    Raises:
        ValueError: the prompt has no tests, so any program would pass, or a test is not a pair.
    """
    tests = prompt.task.get("tests")
    if not isinstance(tests, list) or not tests:
        raise ValueError(f"prompt {prompt.id!r} has no tests: give each at least one")
    pairs = [(test[0], test[1]) for test in tests if isinstance(test, list) and len(test) == 2]
    if len(pairs) < len(tests):
        raise ValueError(
            f"prompt {prompt.id!r} has a test that is not a pair: write each test as [argument, "
            "value]"
        )
    return pairs


ENVIRONMENT = Code()
