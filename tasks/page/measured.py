"""Whatever a training step measured, as a page of curves."""

from collections import defaultdict
from collections.abc import Sequence
from math import isfinite

from lineage.metrics import Sample
from tasks.page.curves import NOTE, Curve, CurveGroup, curve_group
from tasks.page.document import document, section
from tasks.page.html import element, join


def measured_page(title: str, parts: Sequence[Sequence[Sample]]) -> str:
    """Return the curves of every metric of a step; ``parts`` hold what each part has measured."""
    rows = [sample for part in parts for sample in part if isfinite(sample.value)]
    if rows:
        steps = [sample.step for sample in rows]
        extent = f"Steps {min(steps)} to {max(steps)}, as far as it came."
        body = section("curves", "Step by step", extent, *map(curve_group, _groups(rows)))
    else:
        text = "Nothing was trained here: the output was found in the store, or no step has ended."
        body = element("p", {"class": "how"}, text)
    header = element(
        "header",
        {},
        element("p", {"class": "eyebrow"}, "Provost · training"),
        element("h1", {}, title),
        element("p", {"class": "how"}, NOTE),
    )
    return document("Training", join([header, element("main", {}, body)]))


def _groups(rows: Sequence[Sample]) -> list[CurveGroup]:
    """Return a group for each metric; names with a slash are curves of what stands before it."""
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
