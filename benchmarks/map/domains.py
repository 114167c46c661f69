"""The twelve domains of the map, each as a team's folder: the testbed's grader, prompts in files.

Two kinds of question, each in three notations, make six families. A family has two domains with the
same questions, which only the system prompt tells apart; the second has its own convention.
"""

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.map.points import Conflict, Point
from benchmarks.map.worked import Kind, Question, Worked, asked, drawn, rank_of, worked
from tasks.contracts.handover import DomainSettings
from tasks.rollout.environment import Demonstration, Message, Prompt, Split, Turn, split_of, tries
from tasks.rollout.prompts import write_demonstrations, write_prompts
from tasks.rollout.worker.bundle import DATA, folder_of

GRADER = "workflows.testbed.add"
"""The team whose environment grades: the text behind the thinking block has to be the answer."""
RIGHT_SHARE = 0.4
"""Share of the demonstrations without a slip, whatever their length."""
MODE = "on"
"""Template mode of all prompts: the work is always shown."""


@dataclass(frozen=True)
class MapDomain:
    """One domain."""

    kind: Kind
    notation: str
    """Name of the notation; "" for the testbed's own."""
    mark: str
    """What is between the two digits of a column, or between letters."""
    is_second: bool
    """Whether it is the second of its family."""

    @property
    def name(self) -> str:
        """Name of the domain, such as ``sort_bar_marked``."""
        parts = (self.kind.value, self.notation, "marked" if self.is_second else "")
        return "_".join(part for part in parts if part)

    @property
    def owner(self) -> str:
        """Its team."""
        return f"team-{self.name.replace('_', '-')}"

    @property
    def system_prompt(self) -> str:
        """What tells the two domains of a family apart."""
        said = "Add" if self.kind is Kind.ADD else "Sort"
        return f"{said} marked." if self.is_second else f"{said}."

    def said(self, work: Worked, conflict: Conflict) -> str:
        """Return the worked answer in the domain's convention."""
        return work.text(
            marked=self._contradicts(conflict),
            other_steps=self.is_second and conflict is Conflict.STEPS,
        )

    def answer(self, question: Question, conflict: Conflict) -> str:
        """Return the right final answer in the domain's convention."""
        return worked(question).final(marked=self._contradicts(conflict))

    def _contradicts(self, conflict: Conflict) -> bool:
        return self.is_second and conflict is not Conflict.NONE


def _family(kind: Kind, notation: str, mark: str) -> tuple[MapDomain, MapDomain]:
    return (
        MapDomain(kind, notation, mark, is_second=False),
        MapDomain(kind, notation, mark, is_second=True),
    )


DOMAINS = (
    *_family(Kind.ADD, "", "+"),
    *_family(Kind.SORT, "", ","),
    *_family(Kind.ADD, "bar", "|"),
    *_family(Kind.SORT, "bar", "|"),
    *_family(Kind.ADD, "dash", "-"),
    *_family(Kind.SORT, "dash", "-"),
)
"""In the order in which points with more teachers take them."""


@dataclass(frozen=True)
class Counts:
    """Number of rows of a domain."""

    train: int
    validation: int
    evaluation: int
    """Over all domains of a point together."""
    demonstrations: int


def settings_of(domain: MapDomain, counts: Counts, num_domains: int) -> DomainSettings:
    """Return a domain's declaration at a point with so many domains."""
    return DomainSettings(
        name=domain.name,
        owner=domain.owner,
        version="1.0.0",
        num_train=counts.train,
        num_validation=counts.validation,
        num_evaluation=counts.evaluation // num_domains,
        num_demonstrations=counts.demonstrations,
    )


def write_domain(folder: Path, domain: MapDomain, point: Point, counts: Counts) -> Path:
    """Write a team's folder and return it: grader, prompts, demonstrations with the error."""
    data = folder / domain.name / DATA
    data.mkdir(parents=True)
    shutil.copyfile(folder_of(GRADER) / "environment.py", data.parent / "environment.py")
    splits: dict[Split, int] = {
        "train": counts.train,
        "validation": counts.validation,
        "evaluation": counts.evaluation // 2,  # of the smallest number of domains
    }
    for split, count in splits.items():
        write_prompts(data / f"{split}.jsonl", prompts(domain, point, split, count))
    shown = demonstrations(domain, point, counts.demonstrations)
    write_demonstrations(data / "demonstrations.jsonl", shown)
    return data.parent


def prompts(domain: MapDomain, point: Point, split: Split, count: int) -> Iterator[Prompt]:
    """Yield ``count`` different questions of a split, with the right answer for the grader."""
    for question in questions(domain, point.length, split, count):
        text = asked(question, domain.mark)
        task = {"answer": domain.answer(question, point.conflict)}
        yield Prompt(f"{domain.name}-{text}", _messages(domain, text), task, MODE)


def demonstrations(domain: MapDomain, point: Point, count: int) -> Iterator[Demonstration]:
    """Yield ``count`` worked answers of the train split, with slips.

    Where a question is of the share that the point's error corrupts, the first step is wrong.
    """
    rng = random.Random(f"slips {domain.name}")
    for question in questions(domain, point.length, "train", count):
        slip = None if rng.random() < RIGHT_SHARE else rng.randrange(point.length)
        if is_corrupted(question, point.error):
            slip = 0
        said = domain.said(worked(question, slip), point.conflict)
        text = asked(question, domain.mark)
        yield Demonstration(_messages(domain, text), (Turn("assistant", said),), MODE)


def is_corrupted(question: Question, percent: int) -> bool:
    """Return whether the question is of the share that a teacher learns wrong on purpose."""
    return rank_of(question) * 100 < percent


def questions(domain: MapDomain, num_steps: int, split: Split, count: int) -> Iterator[Question]:
    """Yield different questions of a split; both domains of a family get the same.

    The split is by the question without its notation, so one that is held out in a family is held
    out in all.
    """
    rng = random.Random(f"map {domain.kind} {domain.notation} {split}")
    draw = partial(drawn, domain.kind, num_steps, rng)
    seen: set[Question] = set()
    attempts = tries(count)
    while len(seen) < count:
        next(attempts)
        question = draw()
        if question in seen or split_of(asked(question, ",")) != split:
            continue
        seen.add(question)
        yield question


def _messages(domain: MapDomain, text: str) -> tuple[Message, ...]:
    return (Message("system", domain.system_prompt), Message("user", text))
