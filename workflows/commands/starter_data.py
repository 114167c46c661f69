"""The files of a new team whose questions come from a data file."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tasks.rollout.data_file import DataColumns, read_data, split_rows, write_data
from workflows.commands.starter import TESTS_IN_WORKER, Starter

_MATH_VERIFY = '''\
"""Grades answers with math-verify, which compares mathematical expressions by their value."""

from collections.abc import Sequence

from math_verify import parse, verify

from tasks.rollout.bounded import UnfinishedError, bounded
from tasks.rollout.environment import Grade, Prompt, Turn

LONGEST = 4000
"""Characters of a response that are read, counted from its end."""


class MathAnswer:
    """One turn, no tool."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give 1 for an expression that equals the answer; text before "####" does not count."""
        said = turns[-1].content.rpartition("####")[2].strip()
        pair = str(prompt.task["answer"]), said[-LONGEST:]
        try:
            right = bounded(_is_right, pair)
        except UnfinishedError as error:
            return Grade(0.0, f"not compared: {error}")
        return Grade(1.0) if right else Grade(0.0, "another answer")


def _is_right(pair: tuple[str, str]) -> bool:
    # The library's own time limits are signals, which do not interrupt a computation in C. The
    # process of bounded() ends in any case.
    expected, said = pair
    gold = expected if "$$" in expected or "\\\\" not in expected else f"$${expected}$$"
    wanted = parse(gold, parsing_timeout=None)
    found = parse(said, parsing_timeout=None)
    return bool(verify(wanted, found, timeout_seconds=None))


_is_right((r"\\frac{1}{2}", r"$$\\frac{1}{2}$$"))  # loads the grammar, which each call then has
ENVIRONMENT = MathAnswer()
'''

_EXACT = '''\
"""Grades answers by their text: case and spacing do not matter."""

from collections.abc import Sequence

from tasks.rollout.environment import Grade, Prompt, Turn


class ExactAnswer:
    """One turn, no tool."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give 1 for the answer; what comes before a last "####" does not count."""
        said = _plain(turns[-1].content.rpartition("####")[2])
        right = said == _plain(str(prompt.task["answer"]))
        return Grade(1.0) if right else Grade(0.0, "another answer")


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


ENVIRONMENT = ExactAnswer()
'''


@dataclass(frozen=True)
class Grader:
    """A way to compare a response with an answer."""

    says: str
    environment: str
    requirements: str = ""


GRADERS: Mapping[str, Grader] = {
    "exact": Grader("Answers questions by their exact text.", _EXACT),
    "math-verify": Grader(
        "Answers mathematical questions.",
        _MATH_VERIFY,
        "math-verify==0.9.0\nlatex2sympy2-extended==1.11.0\nsympy==1.14.0\n",
    ),
}
"""Graders of data files by the name that the command takes."""


def data_starter(
    data: Path, grader: str, columns: DataColumns, evaluation: Path | None = None
) -> tuple[Starter, list[str]]:
    """Return the files of a team that asks the questions of a data file, and what was found there.

    Raises:
        RefusedError: see ``read_data`` and ``split_rows``.
    """
    rows = read_data(data, columns)
    own = read_data(evaluation, columns) if evaluation else None
    split = split_rows(rows, own)
    counts: dict[str, int] = {name: len(found) for name, found in split.rows.items()}
    chosen = GRADERS[grader]
    numbers = {**counts, "demonstrations": counts["train"]}
    starter = Starter(
        chosen.says,
        chosen.environment,
        TESTS_IN_WORKER,
        write_prompts=partial(write_data, split=split),
        counts={f"num_{name}": count for name, count in numbers.items()},
        requirements=chosen.requirements,
        fills={f"num_{name}": f"DOMAIN.num_{name}" for name in counts},
    )
    said = [", ".join(f"{count} {name}" for name, count in counts.items())]
    if split.num_repeated:
        said.append(f"{split.num_repeated} repeated questions left out")
    return starter, said
