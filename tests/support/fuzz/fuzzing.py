"""What the tests of every family do: draw, feed, and count how many got past the first look."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.support.fuzz.limited import Counts

QUICK, PART = 50, 2000
"""Inputs with one seed, in the default suite and in the slow one."""
SEEDS = range(5)
"""Of the slow suite: 10,000 inputs for each reader, in parts that take less than two minutes."""


def is_object(data):
    """Say whether the bytes are a JSON object: the first thing that every reader asks."""
    return isinstance(json.loads(data), dict)


@dataclass(frozen=True)
class Parser:
    """One reader of another team's data."""

    inputs: Any
    """Strategy of bytes."""
    parse: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]
    """What it may raise: the project's own, by name."""
    first: Callable[[bytes], object] = is_object
    """Says whether the bytes pass the first validation; may raise anything."""
    limits_itself: bool = False
    """It works in a limited process of its own, which it could not start again within ours."""
    warm_with: bytes = b"{}"

    def warm(self):
        """Import what the first input would import, before memory is measured."""
        with contextlib.suppress(*self.errors):
            self.parse(self.warm_with)


def fuzz(limited, parsers, name, count, number=0):
    """Feed a parser of a ``Limited`` family ``count`` inputs of seed ``number``; return the counts.

    Raises:
        AssertionError: for an error that is not the project's, an input that takes too much time or
            memory, or where too few inputs were past the first validation to say anything.
    """
    counts = Counts()

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(parsers[name].inputs)
    def feed(data):
        limited.feed(name, data, counts)

    feed()
    assert counts.inputs >= count
    assert counts.past_first * 5 >= counts.inputs, asdict(counts)
    return counts
