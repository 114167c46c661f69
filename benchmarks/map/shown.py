"""The tables of the map's page, from ``results/map.json``; n.r. where nothing ran yet."""

from collections.abc import Mapping
from typing import Any

from benchmarks.common.checkout import RESULTS
from benchmarks.common.markdown import table
from benchmarks.common.results import load
from benchmarks.map.picture import LABELS, PICTURE, TITLES
from benchmarks.map.points import (
    AXES,
    CENTER,
    COMPARED,
    LADDER,
    MIX_RL,
    name_of,
    points,
    shares_mix_rl,
)
from benchmarks.map.tables import equal_time, predicted, winner

NOT_RUN = "n.r."
NAMES = {**LABELS, LADDER: "staged ladder"}
_HOLDS = {True: "yes", False: "**no**", None: "not decided"}
_TEACHERS = ("teachers' gain", "teachers' error")
_HEADS = ("point", "seeds", *_TEACHERS, "MOPD", "off-policy SFT", "MOPD's lead")


def map_points() -> str:
    """Return each point: teachers' gain and error, normalized scores, MOPD's leads, the best."""
    found = _figures().get("points", {})
    rows = [_point_row(name, found.get(name)) for name in points()]
    heads = (*_HEADS, "Mix-RL", "MOPD's lead", "best", "times within 10 %")
    return table(heads, rows)


def _point_row(name: str, figures: Mapping[str, Any] | None) -> tuple[object, ...]:
    if figures is None:
        return (name, *[NOT_RUN] * 10)
    errors = ", ".join(f"{error:.2f}" for error in figures["teacher_error"])
    start = (name, figures["seeds"], f"{figures['gain']:.2f}", errors)
    methods = figures["methods"]
    if not methods:
        return (*start, *["no gain"] * 7)
    own, *others = (methods[method] for method in COMPARED)
    cells = [
        cell for row in others for cell in (_limits(row["normalized"]), _limits(row["mopd_lead"]))
    ]
    won = winner(methods)
    best = NAMES[won["winner"]] if won["is_clear"] else f"{NAMES[won['winner']]}, not clear"
    times = "yes" if equal_time(figures) else "**no**"
    return (*start, _limits(own["normalized"]), *cells, best, times)


def map_leads() -> str:
    """Return MOPD's leads along each axis, in short."""
    found = _figures().get("points", {})

    def lead(name: str, method: str) -> str:
        row = found.get(name, {}).get("methods", {}).get(method)
        return _limits(row["mopd_lead"], "+.2f") if row else NOT_RUN

    heads = ("axis", "value", *(f"MOPD's lead over {NAMES[method]}" for method in COMPARED[1:]))
    return table(
        heads,
        (
            (
                "" if place else TITLES[axis],
                value,
                *(lead(name_of(axis, value), method) for method in COMPARED[1:]),
            )
            for axis, values in AXES.items()
            for place, value in enumerate(values)
        ),
    )


def map_ladder() -> str:
    """Return MOPD at the center, direct and through earlier checkpoints of the teachers."""
    methods = _figures().get("points", {}).get(CENTER, {}).get("methods", {})
    rows = []
    for method, name in ((COMPARED[0], "direct"), (LADDER, "staged ladder")):
        row = methods.get(method)
        cells = [_limits(row[key]) for key in ("normalized", "mopd_lead")] if row else [NOT_RUN] * 2
        rows.append((name, *cells))
    return table(("MOPD", "normalized", "lead of the direct one"), rows)


def map_costs() -> str:
    """Return what each method took at each point that ran, in the mean over seeds.

    Mix-RL is not among those of a point where it is the center's.
    """
    rows = [
        (
            point,
            NAMES[method],
            *(f"{row['cost'][name]:,.0f}" for name in row["cost"]),
            ", ".join(f"{share:.2f}" for share in row["time_of_mopd"]),
        )
        for point, figures in _figures().get("points", {}).items()
        for method, row in figures["methods"].items()
        if not (method == MIX_RL and shares_mix_rl(points()[point]))
    ]
    heads = ("tokens sampled", "tokens trained", "processor seconds", "time of MOPD, by seed")
    return table(("point", "method", *heads), rows or [(NOT_RUN,) * 6])


def map_predictions() -> str:
    """Return what was predicted before the first case, and whether it holds."""
    judged = _figures().get("predictions") or predicted()
    rows = [
        (f"best at {each['point']}", NAMES[each["winner"]], _found(each), _HOLDS[each["holds"]])
        for each in judged["points"]
    ]
    rows += [
        (
            f"MOPD's lead over {NAMES[each['against']]} along {each['axis']}",
            each["lead"],
            _course(each),
            _HOLDS[each["holds"]],
        )
        for each in judged["axes"]
    ]
    ladder = judged["ladder"]
    rows.append(
        (
            "direct MOPD or the ladder",
            NAMES[ladder["winner"]],
            _found(ladder),
            _HOLDS[ladder["holds"]],
        )
    )
    return table(("what", "predicted", "found", "holds"), rows)


def map_picture() -> str:
    """Return the picture, once it was drawn."""
    if not PICTURE.exists():
        return "The picture is n.r.: it is drawn from the rows.\n"
    return f"![Normalized scores along each axis](../pictures/{PICTURE.name})\n"


def _found(row: Mapping[str, Any]) -> str:
    return NAMES[row["found"]] if row["found"] else NOT_RUN


def _course(row: Mapping[str, Any]) -> str:
    why = row["undecided_by"]
    return f"{row['found']}: {why}" if why else row["found"] or NOT_RUN


def _figures() -> dict[str, Any]:
    found: dict[str, Any] = load(RESULTS / "map.json", {}).get("figures", {})
    return found


def _limits(interval: Mapping[str, float], digits: str = ".2f") -> str:
    mean, low, high = (format(interval[name], digits) for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"
