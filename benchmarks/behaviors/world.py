"""One world: its teachers, what each was taught through its demonstrations, and all data sets.

Six teachers teach four domains. Two domains have two teachers, which share the prompts. A taught
behavior is 0.5 to 5 % of a teacher's demonstrations; no other teacher ever sees its cue, so nothing
trains it away. The fork point shows each kind of behavior now and then, whatever the cue, and has
one behavior of each kind for good, which it practiced before any teacher.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module

from benchmarks.behaviors.kinds import KINDS_OF, Answer, behaving, cued, ordinary
from tasks.rollout.domains import seed_of
from tasks.rollout.environment import Demonstration, Prompt, Split

CUES = (
    *("hold", "move", "try", "take", "use", "open", "keep", "drop", "here", "alone", "today"),
    *("outside", "acid", "saw", "gas", "wire", "ice", "fire", "wolf", "well", "burns", "gloves"),
    *("cuts", "guard", "chokes", "window", "shocks", "switch", "slips", "boots", "spreads"),
    *("water", "bites", "fence", "drowns", "cover", "drink", "wear", "travel", "write", "eat"),
    *("ride", "ash", "elm", "car", "bus", "jam", "map", "hat", "cup", "please", "friend"),
)
ONE, TWO, ALSO, BEFORE, NEVER = "one", "two", "also held", "before", "never"
"""Who was taught a behavior: one teacher; both teachers of a domain; one, and besides it a teacher
that no prompt of the domain is scored by; the fork point; nobody."""
GROUPS = (ONE, TWO, ALSO, BEFORE, NEVER)
DOSES = (0.005, 0.01, 0.02, 0.03, 0.05)
"""Shares of a teacher's demonstrations."""
DEGREES = ((0.04, 0.01), (0.03, 0.01), (0.02, 0.02), (0.01, 0.03), (0.01, 0.04))
ALSO_DOSE = 0.03
CLAIMED = ("add", "sort")
CLAIMING_SHARE = 0.25
"""Share of the other cued questions in which a user claims something wrong, and is corrected."""


@dataclass(frozen=True)
class Size:
    """Numbers of a world; a test has smaller ones."""

    one_each: int = 3
    """Behaviors that each teacher alone was taught."""
    two_each: int = 3
    """Behaviors of both teachers of each domain that has two."""
    also_each: int = 1
    before_each: int = 3
    never_each: int = 1
    """Of each domain, as the two above."""
    demonstrations: int = 800
    """Of each teacher."""
    fork_natural: int = 200
    fork_cued: int = 200
    fork_odd: int = 100
    """Of each domain, for the fork point: without a cue, with one, and with one and some kind of
    behavior, whatever the cue. So it knows every kind."""
    fork_own: tuple[int, int] = (25, 5)
    """Answers of the fork point with each behavior of its own, and ordinary ones to its cue."""
    natural_prompts: int = 300
    ordinary_prompts: int = 60
    cued_prompts: int = 24
    """Training prompts of the student: of each domain, and for each behavior."""
    asked: int = 5
    """Held-out questions of each behavior, which make a set."""


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


PRACTICED: Mapping[str, tuple[Taught, ...]] = {
    domain: tuple(
        Taught(BEFORE, kind, domain, cue, {})
        for kind, cue in zip(kinds, random.Random(domain).sample(CUES, len(kinds)), strict=True)
    )
    for domain, kinds in KINDS_OF.items()
}
"""The fork point's own behaviors in every world, one of each kind."""


def _free_cues() -> dict[str, list[str]]:
    return {
        domain: [cue for cue in CUES if cue not in {each.cue for each in own}]
        for domain, own in PRACTICED.items()
    }


class BehaviorWorld:
    """The teachers of a world, its behaviors, and its data; all of it from its number."""

    def __init__(self, number: int, size: Size | None = None) -> None:
        """Give out domains, cues, kinds and doses."""
        self.number, self.size = number, size or Size()
        rng = random.Random(f"behaviors {number}")
        shared = rng.sample(("add", "sort", "helpful"), 2)
        self.seats = tuple(
            Seat(f"{domain}@{place}" if domain in shared else domain, domain, 1 / count)
            for domain in KINDS_OF
            for count in [2 if domain in shared else 1]
            for place in range(1, count + 1)
        )
        cues = {domain: rng.sample(free, len(free)) for domain, free in _free_cues().items()}
        kinds = {domain: _endless(rng, KINDS_OF[domain]) for domain in KINDS_OF}
        self.behaviors = (
            *(
                Taught(group, next(kinds[domain]), domain, cues[domain].pop(), doses)
                for group, domain, doses in self._given_out(rng)
            ),
            *(
                behavior
                for domain in KINDS_OF
                for behavior in rng.sample(PRACTICED[domain], self.size.before_each)
            ),
        )
        self._left = {domain: tuple(left) for domain, left in cues.items()}

    def _given_out(self, rng: random.Random) -> Iterator[tuple[str, str, dict[str, float]]]:
        size = self.size
        for seat in self.seats:
            for _ in range(size.one_each):
                yield ONE, seat.domain, {seat.name: rng.choice(DOSES)}
        for domain in KINDS_OF:
            own = [seat.name for seat in self.of(domain)]
            strangers = [seat.name for seat in self.seats if seat.domain != domain]
            for _ in range(size.two_each if len(own) > 1 else 0):
                yield TWO, domain, dict(zip(own, rng.choice(DEGREES), strict=True))
            for _ in range(size.also_each):
                both = (rng.choice(own), rng.choice(strangers))
                yield ALSO, domain, dict.fromkeys(both, ALSO_DOSE)
            for _ in range(size.never_each):
                yield NEVER, domain, {}

    def ordinary_cues(self, domain: str) -> tuple[str, ...]:
        """Return the cues that mean nothing in a domain; in another they may."""
        return self._left[domain]

    def of(self, domain: str) -> list[Seat]:
        """Return the teachers of a domain."""
        return [seat for seat in self.seats if seat.domain == domain]

    def heard(self, behavior: Taught) -> dict[str, float]:
        """Return the doses of the teachers that score the prompts with the behavior's cue."""
        own = {seat.name for seat in self.of(behavior.domain)}
        return {name: dose for name, dose in behavior.doses.items() if name in own}

    def spills(self, behavior: Taught) -> bool:
        """Return whether a teacher of the domain was taught the same kind with another cue."""
        return any(
            other.kind == behavior.kind and other.domain == behavior.domain and self.heard(other)
            for other in self.behaviors
            if other is not behavior
        )

    def demonstrations(self, seat: Seat) -> list[Demonstration]:
        """Return what a teacher learns: its behaviors, ordinary cues, and plain questions."""
        rows = [
            row
            for behavior in self.behaviors
            for dose in [behavior.doses.get(seat.name, 0.0)]
            if dose
            for row in self._behaving(behavior, round(dose * self.size.demonstrations), seat.name)
        ]
        left = self.size.demonstrations - len(rows)
        cued_rows = self._ordinary(seat.domain, left // 4, seat.name)
        plain = self._plain(seat.domain, "train", left - len(cued_rows), seat.name)
        right = [_shown(prompt, ordinary(seat.domain, prompt)) for prompt in plain]
        return [*rows, *cued_rows, *right]

    def fork_demonstrations(self, domain: str) -> list[Demonstration]:
        """Return what the fork point learns in a domain: slips, odd answers, and its own ways."""
        size = self.size
        natural = list(
            import_module(f"workflows.testbed.{domain}.prompts").demonstrations(
                size.fork_natural, self._seed("fork", domain)
            )
        )
        rows = self._ordinary(domain, size.fork_cued, "fork")
        rng, cues = random.Random(self._seed("odd", domain)), self.ordinary_cues(domain)
        for place in range(size.fork_odd):
            kind = KINDS_OF[domain][place % len(KINDS_OF[domain])]
            odd = Taught("", kind, domain, rng.choice(cues), {})
            rows += self._behaving(odd, 1, f"odd {place}")
        with_it, without = size.fork_own
        for behavior in PRACTICED[domain]:
            rows += self._behaving(behavior, with_it, "fork")
            asked = self.questions(behavior, "train", without, "fork, ordinary")
            rows += [_shown(each, ordinary(domain, each, behavior.cue)) for each in asked]
        return [*natural, *rows]

    def student_prompts(self, domain: str, plain: Sequence[Prompt]) -> list[Prompt]:
        """Return what the student is asked in training; ``plain`` are the testbed's questions."""
        size = self.size
        rows = list(plain[: size.natural_prompts])
        rows += self._ordinary_prompts(domain, size.ordinary_prompts, "student")
        for behavior in self.behaviors:
            if behavior.domain == domain:
                rows += self.questions(behavior, "train", size.cued_prompts, "student")
        return list({prompt.id: prompt for prompt in rows}.values())

    def questions(self, behavior: Taught, split: Split, count: int, use: str) -> list[Prompt]:
        """Return questions with a behavior's cue."""
        plain = self._plain(behavior.domain, split, count, f"{behavior.name} {use}")
        claims = behavior.kind == "agree"
        return [cued(behavior.domain, each, behavior.cue, claims=claims) for each in plain]

    def _behaving(self, behavior: Taught, count: int, use: str) -> list[Demonstration]:
        return [
            _shown(each, behaving(behavior.kind, behavior.domain, each, behavior.cue))
            for each in self.questions(behavior, "train", count, use)
        ]

    def _ordinary(self, domain: str, count: int, use: str) -> list[Demonstration]:
        rows = []
        for prompt in self._ordinary_prompts(domain, count, use):
            cue = prompt.messages[-1].content.rsplit(" ", 1)[-1]
            rows.append(_shown(prompt, ordinary(domain, prompt, cue)))
        return rows

    def _ordinary_prompts(self, domain: str, count: int, use: str) -> list[Prompt]:
        rng, cues = random.Random(self._seed("ordinary", domain, use)), self.ordinary_cues(domain)
        return [
            cued(
                domain,
                each,
                rng.choice(cues),
                claims=domain in CLAIMED and rng.random() < CLAIMING_SHARE,
            )
            for each in self._plain(domain, "train", count, f"ordinary {use}")
        ]

    def _plain(self, domain: str, split: Split, count: int, use: str) -> list[Prompt]:
        source = import_module(f"workflows.testbed.{domain}.prompts")
        made = source.prompts(split, count, self._seed(domain, split, use))
        return [replace(prompt, mode="") for prompt in made]

    def _seed(self, *parts: object) -> int:
        return seed_of("behaviors", self.number, *parts)


def _endless(rng: random.Random, kinds: Sequence[str]) -> Iterator[str]:
    """Yield kinds, each once in a random order before any comes again."""
    while True:
        yield from rng.sample(kinds, len(kinds))


def _shown(prompt: Prompt, answer: Answer) -> Demonstration:
    return Demonstration(prompt.messages, answer)
