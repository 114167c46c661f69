"""What a step measures along the way, and how a record keeps it."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from pydantic import JsonValue

from lineage.digest import canonical_json


class Sample(NamedTuple):
    """One measured value."""

    step: int
    name: str
    value: float
    source: str
    """Kind of the step that measured it; the prefix of the name."""
    at: int = 0
    """Time in milliseconds since 1970; 0 if it was not measured."""


def metrics_blob(samples: Iterable[Sample]) -> bytes:
    """Return the JSONL of an attestation's metrics.

    A value that is not finite is written as the string "nan", "inf" or "-inf": JSON has no other
    way to say so, and a loss that became NaN is worth seeing.
    """
    return b"".join(canonical_json(_line(sample)) + b"\n" for sample in samples)


def _line(sample: Sample) -> dict[str, JsonValue]:
    line: dict[str, JsonValue] = {
        "step": sample.step,
        "name": sample.name,
        "value": sample.value if math.isfinite(sample.value) else str(sample.value),
        "source": sample.source,
    }
    if sample.at:
        line["at"] = sample.at
    return line
