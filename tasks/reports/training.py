"""The page of a training run: curves of what its steps measured, part by part."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from lineage.records.metrics import Sample
from tasks.reports.curves import NOTE, Curve, CurveGroup
from tasks.reports.rendering import render


@dataclass(frozen=True)
class TrainingPart:
    """One stretch of a training run, such as a round."""

    name: str
    title: str
    extent: str
    groups: Sequence[CurveGroup]


def training_part(
    name: str, title: str, rows: Sequence[Sample], groups: Sequence[CurveGroup]
) -> TrainingPart:
    """Return one stretch with how far it came; ``rows`` are at least one."""
    steps = [sample.step for sample in rows]
    extent = f"Steps {min(steps)} to {max(steps)}, as far as it came."
    return TrainingPart(name, title, extent, groups)


def training_page(headline: str, parts: Sequence[TrainingPart], nothing: str) -> str:
    """Return the page of a run; ``nothing`` is its text where no part was trained."""
    return render(
        "training.html.j2",
        title="Training",
        headline=headline,
        how=NOTE,
        parts=parts,
        nothing=nothing,
    )


def measured_page(title: str, parts: Sequence[Sequence[Sample]]) -> str:
    """Return the curves of every metric of a step; ``parts`` hold what each part has measured."""
    rows = [sample for part in parts for sample in part if isfinite(sample.value)]
    shown = [training_part("curves", "Step by step", rows, _groups(rows))] if rows else []
    nothing = "Nothing was trained here: the output was found in the store, or no step has ended."
    return training_page(title, shown, nothing)


def _groups(rows: Sequence[Sample]) -> list[CurveGroup]:
    """Return a group for each metric; names with a slash are curves of the part before it."""
    series: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for sample in rows:
        group, _, name = sample.name.rpartition("/")
        series[group or name][name].append((float(sample.step), sample.value))
    return [
        CurveGroup(
            title=group,
            unit="",
            low=min(0.0, *(value for points in curves.values() for _, value in points)),
            curves=tuple(Curve(name=name, points=tuple(curves[name])) for name in sorted(curves)),
        )
        for group, curves in sorted(series.items())
    ]
