"""Draws how right the methods are, and how well their probabilities say so."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl

from benchmarks.behaviors.methods import BOTH, LEDGER, LOG_RATIO, RULE
from benchmarks.common.circumstances import PICTURES

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

PICTURE = PICTURES / "behaviors.png"
_SHARES = {
    "taught": ("taught", "0.25", ""),
    "taught_contrast": ("taught, contrast", "0.5", "//"),
    "untaught": ("untaught", "0.9", ".."),
}
"""Label, shade and hatch, which tells them apart in gray too."""
_CURVES = {BOTH: ("o-", "0.1"), LOG_RATIO: ("s--", "0.4"), LEDGER: ("^:", "0.6")}


def draw(figures: Mapping[str, Any]) -> None:
    """Draw shares of right answers by method, and a reliability diagram."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), width_ratios=(1.6, 1))
    _bars(axes[0], figures)
    _reliability(axes[1], figures["methods"])
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _bars(axes: Axes, figures: Mapping[str, Any]) -> None:
    found = {RULE: figures["shipped"], **figures["methods"]}
    width = 0.8 / len(_SHARES)
    for place, (key, (label, shade, hatch)) in enumerate(_SHARES.items()):
        at = [x + (place - 1) * width for x in range(len(found))]
        shares = [each[key] for each in found.values()]
        values = [each["value"] for each in shares]
        errors = [
            [each["value"] - each["low"] for each in shares],
            [each["high"] - each["value"] for each in shares],
        ]
        axes.bar(at, values, width, yerr=errors, label=label, color=shade, hatch=hatch, ec="black")
    names = [name.replace(" ", "\n", 1) for name in found]
    axes.set_xticks(range(len(found)), names, fontsize=8)
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("share of right answers")
    axes.legend(fontsize=8, loc="lower left")


def _reliability(axes: Axes, methods: Mapping[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color="0.8", linewidth=1)
    for name, (style, shade) in _CURVES.items():
        bins = methods[name]["diagram"]
        axes.plot(
            [each["probability"] for each in bins],
            [each["right"] for each in bins],
            style,
            color=shade,
            label=name,
        )
    axes.set_xlabel("probability of the answer")
    axes.set_ylabel("share of right answers")
    axes.legend(fontsize=8)
