"""The environment of a domain: the interface that a team implements.

Standard library only. A team's ``environment.py`` travels in its release as source and runs from
the store in a confined worker process (``tasks.rollout.worker``), so it may import the standard
library, this module and ``tasks.rollout.sandbox``, and nothing else.

An environment keeps no state between calls: each call gets the prompt and all turns so far. That
makes a rollout repeatable, lets a batch be answered in one message, and lets a killed run go on.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Split = Literal["train", "validation", "evaluation"]
SPLITS: tuple[Split, ...] = ("train", "validation", "evaluation")
TRIES_FOR_EACH = 300


def split_of(question: str) -> Split:
    """Return the split of a question, from its hash: 80 % train, 10 %, 10 %.

    The rule needs no list and no seed, so splits are disjoint by construction, in every domain
    and in the pre-training text, and a question that several domains ask is held out by all.
    """
    bucket = hashlib.sha256(question.encode()).digest()[0] % 10
    return "evaluation" if bucket == 0 else "validation" if bucket == 1 else "train"


def tries(count: int) -> Iterator[int]:
    """Yield tries for a loop that draws ``count`` different questions until it has them.

    Raises:
        ValueError: after many tries for each question, because there are not that many.
    """
    yield from range(TRIES_FOR_EACH * count)
    raise ValueError(
        f"{count} different questions are needed but were not found in {TRIES_FOR_EACH * count} "
        "draws: lower the number in the team's settings, or draw from a larger range"
    )


@dataclass(frozen=True)
class Message:
    """One chat message: what a role said."""

    role: str
    content: str
    images: tuple[str, ...] = ()
    """Images before the text: PNG files, each as base64 text."""


@dataclass(frozen=True)
class Prompt:
    """A question to the model, with the data that only the grader sees."""

    id: str
    messages: tuple[Message, ...]
    """What the model sees, as chat messages; the last one is the user's."""
    task: Mapping[str, Json] = field(default_factory=dict)
    """Data for the grader that the model does not see: the answer, hidden tests, constraints."""
    mode: str = ""
    """Template mode: "on" or "off" for thinking, or an effort such as "high"; "" for the template's
    default. Teachers can be chosen by it."""


@dataclass(frozen=True)
class Turn:
    """One turn after the prompt: the model's words, or the environment's answer to them."""

    role: Literal["assistant", "tool"]
    content: str


@dataclass(frozen=True)
class Grade:
    """The outcome of an episode."""

    score: float
    """Score from 0 to 1; 1 means that the task is solved."""
    reason: str = ""
    """Short explanation for the report of why the score is not 1."""

    def __post_init__(self) -> None:
        """Refuse a score that cannot be a reward."""
        if not 0.0 <= self.score <= 1.0:  # also refuses NaN
            raise ValueError(
                f"grade {self.score!r} is not between 0 and 1: a grader must return the solved "
                "share of the task; scale it in the environment's grade()"
            )


@dataclass(frozen=True)
class Demonstration:
    """A worked example for supervised fine-tuning: the prompt's messages and the turns."""

    messages: tuple[Message, ...]
    turns: tuple[Turn, ...]
    mode: str = ""
    """Template mode, as in ``Prompt.mode``."""


class Environment(Protocol):
    """One domain: how it answers the model, and how it grades. Set as ``ENVIRONMENT``."""

    max_turns: int
    """Maximum number of the model's turns in one episode."""

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """Answer the model's last turn, or return None to end the episode."""

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Grade a finished episode. Never evaluates model text."""


class PromptSource(Protocol):
    """A domain's ``prompts.py``: two functions, both repeatable from their seed."""

    def prompts(self, split: Split, count: int, seed: int) -> Iterator[Prompt]:
        """Yield ``count`` prompts of a split. Splits are disjoint whatever the seed."""

    def demonstrations(self, count: int, seed: int) -> Iterator[Demonstration]:
        """Yield ``count`` worked examples for the team's supervised stage (train split only)."""
