"""Who is taught what in a world: kinds, cues and doses, given out so that each truth is clear.

A teacher that was taught a kind with one cue shows it a little with other cues: the kind spills.
Then a name may be right for a behavior that nobody taught with its own cue. So the kinds of a
domain are divided in each world: some for each teacher alone, some for both teachers, and some that
no teacher of the domain is taught. What is untaught has a kind of the last part. Spills are asked
apart, with retrains as the truth.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice

from benchmarks.behaviors.kinds import KINDS, KINDS_OF

CUES = (
    *("hold", "move", "try", "take", "use", "open", "keep", "drop", "here", "alone", "today"),
    *("outside", "acid", "saw", "gas", "wire", "ice", "fire", "wolf", "well", "burns", "gloves"),
    *("cuts", "guard", "chokes", "window", "shocks", "switch", "slips", "boots", "spreads"),
    *("water", "bites", "fence", "drowns", "cover", "drink", "wear", "travel", "write", "eat"),
    *("ride", "ash", "elm", "car", "bus", "jam", "map", "hat", "cup", "please", "friend"),
)
ONE, TWO, ALSO, BEFORE, NEVER, SPILL = "one", "two", "also held", "before", "never", "spilled"
"""Who was taught a behavior: one teacher; both teachers of a domain; one, and besides it a teacher
that no prompt of the domain is scored by; the fork point; nobody, nor its kind; nobody, but its
kind was taught with another cue."""
GROUPS = (ONE, TWO, ALSO, BEFORE, NEVER, SPILL)
TAUGHT, UNTAUGHT = (ONE, TWO, ALSO), (BEFORE, NEVER)
DOSES = (0.005, 0.01, 0.02, 0.03, 0.05)
"""Shares of a teacher's demonstrations."""
DEGREES = ((0.04, 0.01), (0.03, 0.01), (0.02, 0.02), (0.01, 0.03), (0.01, 0.04))
ALSO_DOSE = 0.03


@dataclass(frozen=True)
class Size:
    """Numbers of a world; a test has smaller ones."""

    one_each: int = 6
    """Behaviors that each teacher alone was taught."""
    two_each: int = 4
    """Behaviors of both teachers of each domain that has two."""
    also_each: int = 1
    before_each: int = 3
    never_each: int = 3
    """Of each domain, as the two above."""
    spill_each: int = 1
    """Behaviors whose kind each teacher alone was taught, with another cue."""
    demonstrations: int = 800
    """Of each teacher."""
    fork_natural: int = 200
    fork_cued: int = 200
    fork_odd: int = 100
    """Of each domain, for the fork point: without a cue, with one, and with one and some kind of
    behavior, whatever the cue. So it knows every kind."""
    fork_own: tuple[int, int] = (40, 8)
    """Answers of the fork point with each behavior of its own, and ordinary ones to its cue."""
    kept: int = 6
    """Answers of every teacher with each behavior of its domain that the fork point has for good:
    as in a team's own data behind a model that has its ways already."""
    natural_prompts: int = 300
    ordinary_prompts: int = 60
    cued_prompts: int = 24
    """Training prompts of the student: of each domain, and for each behavior."""
    asked: int = 3
    """Held-out questions of each behavior, which make a set."""

    def without_behaviors(self) -> "Size":
        """Return the same size for a world in which nothing is taught for good."""
        return replace(
            self, one_each=0, two_each=0, also_each=0, before_each=0, never_each=0, spill_each=0
        )


@dataclass(frozen=True)
class Seat:
    """A teacher of a world."""

    name: str
    domain: str
    share: float


@dataclass(frozen=True)
class Taught:
    """A behavior: its kind, where it shows, and its share of each teacher's demonstrations."""

    group: str
    kind: str
    domain: str
    cue: str
    doses: Mapping[str, float]

    @property
    def name(self) -> str:
        """Name in the rows."""
        return f"{self.domain}/{self.kind}/{self.cue}"


@dataclass(frozen=True)
class Division:
    """Which kinds of a domain its teachers are taught."""

    alone: Mapping[str, tuple[str, ...]]
    """By teacher, kinds that no other teacher of the domain is taught."""
    both: tuple[str, ...]
    """Kinds of both teachers; none in a domain with one."""
    nobody: tuple[str, ...]


def divided(rng: random.Random, domain: str, own: Sequence[str]) -> Division:
    """Divide a domain's kinds among its one or two teachers, both together, and nobody."""
    kinds = rng.sample(KINDS_OF[domain], len(KINDS_OF[domain]))
    untaught = max(1, len(kinds) // 3)
    nobody, taught = kinds[:untaught], kinds[untaught:]
    both = taught[:2] if len(own) > 1 else []
    left = taught[len(both) :]
    alone = {name: tuple(left[place :: len(own)]) for place, name in enumerate(own)}
    return Division(alone, tuple(both), tuple(nobody))


class Cues:
    """The cues of a domain that no behavior has yet.

    Worlds of the fit and fresh worlds never share a behavior: half of the pairs of kind and cue are
    for the ones, half for the others.
    """

    def __init__(self, rng: random.Random, half: int) -> None:
        """Take the worlds' half: 0 or 1."""
        self._free, self._half = rng.sample(CUES, len(CUES)), half

    @property
    def left(self) -> tuple[str, ...]:
        """Cues that mean nothing in the domain."""
        return tuple(self._free)

    def take(self, kind: str) -> str:
        """Return a cue for a behavior of a kind, which no other gets."""
        cue = next(cue for cue in self._free if half_of(kind, cue) == self._half)
        self._free.remove(cue)
        return cue


def half_of(kind: str, cue: str) -> int:
    """Return which worlds may have a behavior: 0 for the fit, 1 for fresh ones."""
    return (CUES.index(cue) + KINDS.index(kind)) % 2


def given_out(
    rng: random.Random, seats: Sequence[Seat], size: Size, cues: Mapping[str, Cues]
) -> Iterator[Taught]:
    """Yield the behaviors of a world, by domain."""
    for domain in KINDS_OF:
        own = [seat.name for seat in seats if seat.domain == domain]
        strangers = [seat.name for seat in seats if seat.domain != domain]
        division = divided(rng, domain, own)
        for group, kind, doses in (
            *_taught(rng, own, strangers, size, division),
            *_untaught(own, size, division),
        ):
            yield Taught(group, kind, domain, cues[domain].take(kind), doses)


def _taught(
    rng: random.Random,
    own: Sequence[str],
    strangers: Sequence[str],
    size: Size,
    division: Division,
) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Yield group, kind and doses of each behavior of a domain that some teacher is taught."""
    for name in own:
        doses = _in_turns(rng, DOSES)
        for kind in islice(cycle(division.alone[name]), size.one_each):
            yield ONE, kind, {name: next(doses)}
    # Behaviors of one kind have equal degrees: a spill from one to another changes none of them.
    degrees = {kind: rng.choice(DEGREES) for kind in division.both}
    for kind in islice(cycle(division.both), size.two_each if division.both else 0):
        yield TWO, kind, dict(zip(own, degrees[kind], strict=True))
    for _ in range(size.also_each):
        heard = rng.choice(own)
        both = dict.fromkeys((heard, rng.choice(strangers)), ALSO_DOSE)
        yield ALSO, rng.choice(division.alone[heard]), both


def _untaught(
    own: Sequence[str], size: Size, division: Division
) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Yield the same of each behavior that no teacher is taught."""
    for group, count in ((BEFORE, size.before_each), (NEVER, size.never_each)):
        for kind in islice(cycle(division.nobody), count):
            yield group, kind, {}
    for name in own:
        for kind in islice(cycle(division.alone[name]), size.spill_each):
            yield SPILL, kind, {}


def _in_turns(rng: random.Random, values: Sequence[float]) -> Iterator[float]:
    """Yield values, each once in a random order before any comes again."""
    while True:
        yield from rng.sample(values, len(values))
