"""What the ledger adds to naming: both together less the log-ratio alone, on the same questions."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.behaviors.items import AuditItem
from benchmarks.behaviors.judging import brier, difference, share_right
from benchmarks.behaviors.methods import MethodAnswer
from benchmarks.behaviors.taught import TAUGHT, UNTAUGHT

COLUMNS = ("taught", "taught_contrast", "untaught", "untaught_contrast", "untaught_risen")
"""Parts of the judged questions. Untaught behaviors that the round made likelier are the hard ones:
the others are left alone by any rule that looks at the change."""
_WORDS: Mapping[str, tuple[str, int]] = {
    "taught": ("right names", 1),
    "taught_contrast": ("right names with a contrast", 1),
    "untaught": ("untaught behaviors left alone", 1),
    "untaught_contrast": ("untaught behaviors left alone with a contrast", 1),
    "brier": ("the Brier score", -1),
}
"""Differences that the sentence speaks of, and whether a higher or a lower value is better."""
Difference = Mapping[str, float]


def is_in(column: str, item: AuditItem) -> bool:
    """Return whether a question is in a column."""
    if column == "untaught_risen":
        return item.group in UNTAUGHT and item.ended > item.begun
    groups = TAUGHT if column.startswith("taught") else UNTAUGHT
    return item.group in groups and item.is_contrast == column.endswith("contrast")


def differences(one: Sequence[MethodAnswer], other: Sequence[MethodAnswer]) -> dict[str, Any]:
    """Return how much better one method is than another, by column, with paired intervals."""
    found: dict[str, Any] = {}
    for column in COLUMNS:
        pairs = [
            (a.judged, b.judged) for a, b in zip(one, other, strict=True) if is_in(column, a.item)
        ]
        first, second = [a for a, _ in pairs], [b for _, b in pairs]
        found[column] = difference(first, second, share_right) if pairs else {}
    return found


def brier_difference(one: Sequence[MethodAnswer], other: Sequence[MethodAnswer]) -> Difference:
    """Return how much higher the Brier score of one method is, over all questions."""
    return difference([a.judged for a in one], [b.judged for b in other], brier)


def sentence(found: Mapping[str, Difference]) -> str:
    """Return in one sentence what the ledger adds to the log-ratio, or that it adds nothing.

    The words were chosen before any fresh world was run.
    """
    better, worse = [], []
    for name, (words, sign) in _WORDS.items():
        each = found.get(name)
        if not each:
            continue
        low, high = sorted((sign * each["low"], sign * each["high"]))
        said = f"{words} ({each['value']:+.3f}, {each['low']:+.3f} to {each['high']:+.3f})"
        if low > 0:
            better.append(said)
        elif high < 0:
            worse.append(said)
    if not better and not worse:
        return (
            "To naming, the ledger adds nothing that these worlds can show: no difference from the "
            "log-ratio alone excludes 0."
        )
    parts = [f"{verb} {' and '.join(said)}" for verb, said in _verbs(better, worse) if said]
    return f"To naming, beside the log-ratio alone, the ledger {', but '.join(parts)}."


def _verbs(better: list[str], worse: list[str]) -> tuple[tuple[str, list[str]], ...]:
    return ("improves", better), ("worsens", worse)
