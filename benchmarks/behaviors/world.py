"""One world: its teachers, what each was taught through its demonstrations, and all data sets.

Six teachers teach four domains. Two domains have two teachers, which share the prompts. A taught
behavior is 0.5 to 5 % of a teacher's demonstrations; no other teacher ever sees its cue, so nothing
trains it away. The fork point shows each kind of behavior now and then, whatever the cue, and was
taught some behaviors for good, other ones in every world. Every teacher of their domain keeps
those, by a few answers in its own demonstrations.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module

from benchmarks.behaviors.kinds import KINDS_OF, Answer, behaving, cued, ordinary
from benchmarks.behaviors.taught import BEFORE, Cues, Seat, Size, Taught, given_out
from tasks.rollout.domains import seed_of
from tasks.rollout.environment import Demonstration, Prompt, Split

FIT = tuple(range(4))
"""Worlds that give every method its calibration."""
FRESH = tuple(range(4, 12))
"""Worlds that are judged."""
CLAIMED = ("add", "sort")
CLAIMING_SHARE = 0.25
"""Share of the other cued questions in which a user claims something wrong, and is corrected."""


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
        cues = {domain: Cues(rng, int(number in FRESH)) for domain in KINDS_OF}
        self.behaviors = tuple(given_out(rng, self.seats, self.size, cues))
        self._left = {domain: each.left for domain, each in cues.items()}

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

    def carriers(self, behavior: Taught) -> list[str]:
        """Return the heard teachers that were taught the same kind with another cue."""
        return sorted(
            {
                name
                for other in self.behaviors
                if other is not behavior
                and (other.kind, other.domain) == (behavior.kind, behavior.domain)
                for name in self.heard(other)
            }
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
        for behavior in self.behaviors:
            if behavior.domain == seat.domain and behavior.group == BEFORE:
                rows += self._behaving(behavior, self.size.kept, seat.name)
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
        own = [each for each in self.behaviors if each.domain == domain and each.group == BEFORE]
        for behavior in own:
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

    def audited_share(self, domain: str, prompts: Sequence[Prompt]) -> float:
        """Return the share of a student's training prompts that have an audited behavior's cue."""
        audited = {
            prompt.id
            for behavior in self.behaviors
            if behavior.domain == domain
            for prompt in self.questions(behavior, "train", self.size.cued_prompts, "student")
        }
        return sum(prompt.id in audited for prompt in prompts) / len(prompts)

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


def _shown(prompt: Prompt, answer: Answer) -> Demonstration:
    return Demonstration(prompt.messages, answer)
