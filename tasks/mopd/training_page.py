"""The curves of a MOPD run, teacher by teacher, also of a run that failed."""

from collections import defaultdict
from collections.abc import Sequence
from math import isfinite

from lineage.records.derivation import Sample
from tasks.reports.curves import Curve, CurveGroup, training_page, training_part

SHOWN = {
    "kl/": ("Reverse KL from the student to each teacher", "nats per token"),
    "reward/": ("Reward of each domain", "share solved"),
    "response_tokens/": ("Length of responses", "tokens"),
}
"""The metrics of each teacher or domain by how they begin, with title and unit."""


def rounds_page(rounds: Sequence[Sequence[Sample]]) -> str:
    """Return a page with the curves of each round; ``rounds`` hold the measurements of each."""
    parts = [
        training_part(f"round-{number}", f"Round {number}", rows, groups(rows))
        for number, rows in enumerate(rounds, start=1)
        if rows
    ]
    nothing = (
        "Nothing was trained in this run: the store held all finished rounds, or the run ended "
        "before its first step. The report of a published student has the curves."
    )
    return training_page("The student and its teachers, step by step", parts, nothing)


def groups(rows: Sequence[Sample]) -> list[CurveGroup]:
    """Return the curves of the measured rows; values that are not finite are left out."""
    series: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for sample in rows:
        if isfinite(sample.value):
            series[sample.name].append((float(sample.step), sample.value))
    groups_shown = []
    for prefix, (title, unit) in SHOWN.items():
        curves = [
            Curve(name=name.removeprefix(prefix), points=tuple(points))
            for name, points in sorted(series.items())
            if name.startswith(prefix)
        ]
        if curves:
            groups_shown.append(CurveGroup(title=title, unit=unit, curves=tuple(curves)))
    return groups_shown
