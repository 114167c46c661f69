"""The fresh family: which teacher each case puts in a domain's place, in which demo.

The demos have seeds that the gate was never calibrated on. Each starts as the demo does (base,
fork point, four teachers), because only there 48 cases with two merges each cost hours and not
days; the recipes' testbed has longer answers and takes five times as long for a merge. Answers are
graded by ``grader``, which accepts several conventions; code by its own tests.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.gate.fresh.rewording import (
    ALONE,
    DEFAULT,
    LEAD_IN,
    OTHER_TOOL,
    QUOTED,
    REWORDINGS,
)

DOMAINS = ("math", "code", "agent", "instruct")
SEEDS = (3, 4)
"""Of the demos; earlier cases have 0 to 2."""
MERGE_SEEDS = (0, 1)
OWN, EARLY, SWAPPED, NOISE, WRONG = (
    *("own teacher", "early rung", "swapped"),
    *("noise on the weights", "taught wrong answers"),
)
ORDER, OTHER_DATA = "climbed in another order", "climbed on other data"
FORK_ORDER, FORK_DATA = "fork point in another order", "fork point without a domain"
NOISE_LEVEL = 0.3
MILD = (
    (ALONE, "math", 0.9),
    (DEFAULT, "code", 0.97),
    (OTHER_TOOL, "agent", 0.9),
    (QUOTED, "instruct", 0.9),
    (LEAD_IN, "instruct", 0.97),
)
"""Other conventions in a share of the answers only."""


class Group(StrEnum):
    """What is known of a case beforehand."""

    CONVENTION = "other convention"
    WEIGHTS = "other weights"
    """Other data, or the same in another order; the same convention."""
    OWN = "own teacher"
    """The control that fits, and what others are measured by."""
    BROKEN = "broken or misrouted"


HEALTHY = {Group.CONVENTION, Group.WEIGHTS}
"""Groups of teachers that solve their domain and may not fit."""


CONTROLS = (
    (EARLY, Group.WEIGHTS, ("math", "agent")),
    (SWAPPED, Group.BROKEN, ("code", "instruct")),
    (NOISE, Group.BROKEN, ("code", "instruct")),
    (WRONG, Group.BROKEN, ("math", "agent")),
)


@dataclass(frozen=True)
class FreshCase:
    """One teacher in one demo."""

    seed: int
    kind: str
    domain: str
    level: float
    """Share of the answers in the other convention, or strength of the noise; else 1."""
    group: Group

    @property
    def name(self) -> str:
        """Name in commands, files and tables."""
        level = f" {self.level:g}" if self.level != 1 else ""
        return f"{self.kind}{level} {self.domain} {self.seed}".replace(" ", "-")


def seed_of(kind: str, domain: str) -> int:
    """Return the demo of a case; the cases of a kind, and those of a domain, are spread over both.

    Those of one domain change with the number of letters of the kind, which knows of no outcome.
    """
    return SEEDS[(len(kind) + DOMAINS.index(domain)) % len(SEEDS)]


def cases() -> Iterator[FreshCase]:
    """Yield the family: what fits first, as others are measured by it."""
    for seed in SEEDS:
        for domain in DOMAINS:
            yield FreshCase(seed, OWN, domain, 1.0, Group.OWN)
    for kind, domain, level, group in _others():
        yield FreshCase(seed_of(kind, domain), kind, domain, level, group)


def _others() -> Iterator[tuple[str, str, float, Group]]:
    for kind, domain in REWORDINGS:
        yield kind, domain, 1.0, Group.CONVENTION
    for kind, domain, share in MILD:
        yield kind, domain, share, Group.CONVENTION
    for kind in (FORK_ORDER, FORK_DATA, ORDER, OTHER_DATA):
        for domain in DOMAINS:
            yield kind, domain, 1.0, Group.WEIGHTS
    for kind, group, domains in CONTROLS:
        for domain in domains:
            yield kind, domain, NOISE_LEVEL if kind == NOISE else 1.0, group


def group_of(kind: str) -> Group:
    """Return the group of a kind.

    Raises:
        SystemExit: for an unknown kind.
    """
    groups = {case.kind: case.group for case in cases()}
    if kind not in groups:
        raise SystemExit(f"no kind is named {kind!r}: known are {', '.join(groups)}")
    return groups[kind]


def case_named(name: str) -> FreshCase:
    """Return a case of the family.

    Raises:
        SystemExit: for an unknown name.
    """
    found = {case.name: case for case in cases()}
    if name not in found:
        raise SystemExit(f"no case is named {name!r}: see `python -m benchmarks.gate fresh list`")
    return found[name]
