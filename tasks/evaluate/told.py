"""A finished consolidation in a few lines: the first output that Flyte's console shows."""

from collections.abc import Iterator

from lineage.plain import plain
from lineage.summary import Score, Summary


def text_of(summary: Summary) -> str:
    """Return name and version, verdict, scores beside what they are compared with, and places."""
    return "\n".join(map(plain, _lines(summary)))


def _lines(summary: Summary) -> Iterator[str]:
    yield f"{summary.name or summary.kind}: {summary.verdict}"
    for score in summary.scores:
        yield _score(score)
    for warning in summary.warnings:
        yield f"warning: {warning}"
    for name, place in (("report", summary.report), ("weights", summary.weights)):
        if place:
            yield f"{name}: {place}"
    yield f"digest: {summary.digest}"


def _score(score: Score) -> str:
    others = ", ".join(
        f"{name.replace('_', ' ')} {value:.2f}" for name, value in score.against.items()
    )
    return f"{score.what}: {score.value:.2f}" + (f" ({others})" if others else "")
