"""The table of the organization at size, with what each cost is expected to be at the whole.

A cost grows with the records of the store or with the ancestors of the question's student. These
numbers are known for every size, because the organization is drawn from a seed.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from benchmarks.common.markdown import result, table
from benchmarks.scale.organization import MERGED, ROUNDS, RUNGS, SEED, TEAMS, teams_at

_PARTS = 6
"""Records that all releases of a team share."""


class Question(NamedTuple):
    """A question, where its cost stands, what the cost grows with, and the target."""

    what: str
    place: tuple[str, ...]
    grows_with: Callable[[int], int] | None
    """Its argument is the number of teams; None for a cost that does not grow."""
    target: float | None = None
    digits: int = 2


def records_at(teams: int) -> int:
    """Return how many records an organization has: a base and its fork point, and the rounds."""
    return 2 + _PARTS * teams + ROUNDS * (teams * (RUNGS + 1) + 3)


def ancestors_at(teams: int) -> int:
    """Return how many ancestors the last student has.

    A round adds the merged teams' rungs and releases, and the weights. Teams that were merged
    once add what their releases share. The last student adds its scorecard.
    """
    chance, merged = random.Random(SEED), min(MERGED, teams)
    drawn = {team for _ in range(ROUNDS) for team in chance.sample(range(teams), merged)}
    return 2 + _PARTS * len(drawn) + ROUNDS * (merged * (RUNGS + 1) + 1) + 1


_ANCESTORS = ("milliseconds", "ancestors_of_the_last_student")
QUESTIONS = (
    Question("ancestors of the last student, ms", _ANCESTORS, ancestors_at, 50, 1),
    Question("opening the index again, s", ("seconds", "index opened again"), records_at),
    Question("`teacher list`, all versions, s", ("seconds", "teacher list"), records_at, 0.3, 3),
    Question(
        "with a new version since the last list, s",
        ("seconds", "teacher list, with a new version"),
        records_at,
        0.3,
        3,
    ),
    Question(
        "a user's first list, s", ("seconds", "teacher list, the first of a user"), records_at
    ),
    Question("`student list`, s", ("seconds", "student list"), records_at, 0.3, 3),
    Question("recall of the fork point, s", ("seconds", "recall"), records_at, 5),
    Question("page of the last student, s", ("seconds", "page"), ancestors_at),
    Question("size of that page, MB", ("page_bytes",), ancestors_at, 3),
    Question("building the index, s", ("seconds", "index built"), records_at),
    Question("resolving a name, s", ("seconds", "resolve"), records_at, None, 3),
    Question("registering a version, s", ("seconds", "register a version"), records_at, None, 3),
    Question("finding garbage, s", ("seconds", "garbage"), records_at),
    Question(
        "MLflow: a first release with its climb, s",
        ("seconds", "mirror a release and its climb"),
        None,
    ),
)


def scale() -> str:
    """Return what each question costs at the measured sizes, and is expected to cost at 200 teams.

    Costs are seconds of the processor.
    """
    sizes = result("scale")["figures"]["sizes"]
    heads = (
        "question",
        *(f"{size['records']:,} records" for size in sizes),
        "times more",
        f"expected at {records_at(TEAMS):,}",
        "target for the whole",
    )
    return table(heads, (_row(question, sizes) for question in QUESTIONS))


def expected(question: Question, sizes: list[Mapping[str, Any]]) -> float:
    """Return a question's cost at the whole, on the line through the last two sizes."""
    before, last = (_cost(question, size) for size in sizes[-2:])
    if question.grows_with is None:
        return last
    known = [question.grows_with(teams_at(size["share"])) for size in sizes[-2:]]
    slope = (last - before) / (known[1] - known[0])
    return last + slope * (question.grows_with(TEAMS) - known[1])


def _row(question: Question, sizes: list[Mapping[str, Any]]) -> tuple[object, ...]:
    costs, whole = [_cost(question, size) for size in sizes], expected(question, sizes)
    target = "-"
    if question.target is not None:
        target = f"{question.target:g}" + (
            "" if whole <= question.target else ": **expected to miss**"
        )
    return (
        question.what,
        *(f"{cost:.{question.digits}f}" for cost in costs),
        f"{costs[-1] / costs[-2]:.1f}",
        f"{whole:.{question.digits}f}",
        target,
    )


def _cost(question: Question, size: Mapping[str, Any]) -> float:
    found: Any = size
    for name in question.place:
        found = found[name]
    if question.place == ("page_bytes",):
        return float(found) / 1e6
    return float(found["processor"] if isinstance(found, dict) else found)


def _sizes(key: str) -> str:
    return f"{result('scale')['figures']['sizes'][-1][key]:,}"


SCALE: dict[str, Callable[[], str]] = {"scale": scale}
SCALE_FIGURES: dict[str, Callable[[], str]] = {
    "scale_records_of_the_whole": lambda: f"{records_at(TEAMS):,}",
    "scale_ancestors_of_the_whole": lambda: f"{ancestors_at(TEAMS):,}",
    "scale_ancestors_measured": lambda: _sizes("ancestors_of_the_last_student"),
    "scale_recalled": lambda: _sizes("recalled"),
}
