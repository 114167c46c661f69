"""Draws the attribution benchmark's results in one picture; hatches tell it in gray too."""

from textwrap import fill
from typing import Any, cast

import matplotlib as mpl

from benchmarks.attribution.questions import NOBODY, OFF, OWN, SHARED
from benchmarks.common.circumstances import PICTURES, read

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

Figures = dict[str, dict[str, Any]]
PICTURE = PICTURES / "attribution.png"
_NAMING = {
    "teacher over fork point": "teacher over\nfork point",
    "taught and heard": "taught and\nheard",
    "tracin": "TracIn",
    "path integral": "path\nintegral",
    "surgery": "surgery",
    "owner of the domain": "owner of\nthe domain",
    "distance moved": "distance\nmoved",
}
_KINDS = {OWN: ("0.25", ""), SHARED: ("0.5", "//"), OFF: ("0.7", "\\\\"), NOBODY: ("0.95", "..")}
"""Shade and hatch."""
_ABSENCE = (
    "rehearsal + a tenth of tracin, bounded",
    "rehearsal",
    "tracin, bounded",
    "tracin",
    "path integral",
    "taught and heard",
    "surgery, then an eighth",
    "retrain of a quarter",
    "teacher over fork point",
    "surgery",
    "distance moved",
)


def draw() -> None:
    """Draw who is named right, and how well absence is predicted."""
    figures = cast("dict[str, Figures]", read("attribution"))
    figure, axes = plt.subplots(2, 1, figsize=(10, 8))
    _naming(axes[0], figures["naming"])
    _absence(axes[1], figures["absence"])
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _naming(axes: Axes, naming: Figures) -> None:
    width = 0.8 / len(_KINDS)
    for place, (kind, (shade, hatch)) in enumerate(_KINDS.items()):
        shares = [naming[name]["right"][kind] for name in _NAMING]
        at = [x + (place - 1.5) * width for x in range(len(shares))]
        values = [each["share"] for each in shares]
        ends = [[v - each["low"] for v, each in zip(values, shares, strict=True)]]
        ends += [[each["high"] - v for v, each in zip(values, shares, strict=True)]]
        axes.bar(at, values, width, color=shade, hatch=hatch, edgecolor="black", label=kind)
        axes.errorbar(at, values, yerr=ends, fmt="none", ecolor="black", capsize=2, lw=1)
    axes.set_xticks(range(len(_NAMING)), list(_NAMING.values()))
    axes.set_ylabel("share that is right")
    axes.set_ylim(0, 1.04)
    axes.set_title("Who is named (nobody: nobody is), on sets that did not choose the thresholds")
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False)


def _absence(axes: Axes, absence: Figures) -> None:
    ceiling = absence["a retrain of the other seed"]
    kinds = {"in domain": ("o", "-"), "off domain": ("^", "--"), "subsets": ("s", ":")}
    for place, (kind, (mark, line)) in enumerate(kinds.items()):
        found = [absence[name][kind] for name in _ABSENCE]
        at = [x + (place - 1) * 0.2 for x in range(len(found))]
        values = [each["mean"] for each in found]
        half = [each["high"] - each["mean"] for each in found]
        shade = str(place * 0.3)
        axes.errorbar(at, values, yerr=half, fmt=mark, color=shade, capsize=2, label=kind)
        axes.axhline(ceiling[kind]["mean"], color=shade, ls=line, lw=1)
    axes.set_xticks(range(len(_ABSENCE)), [fill(name, 11) for name in _ABSENCE])
    axes.axhline(0, color="black", lw=0.5)
    axes.set_ylabel("rank correlation")
    axes.set_title("Against a retrain of another seed; lines: what two seeds' retrains have")
    axes.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.3), frameon=False)
