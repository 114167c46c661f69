"""The picture of the gate: what came of each verdict, and the weights behind declared parents."""

import random
from collections.abc import Iterator

import matplotlib as mpl

from benchmarks.common.checkout import RESULTS
from benchmarks.common.circumstances import PICTURES
from benchmarks.common.results import Row, load
from benchmarks.gate.fresh.calibrated import calibrated_rows
from benchmarks.gate.verdicts import LOST
from tasks.contracts.handover import Verdict

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

PICTURE = PICTURES / "gate-outcomes.png"
ORDER = (Verdict.FITS, Verdict.FITS_AFTER_REMEDY, Verdict.UNKNOWN, Verdict.DOES_NOT_FIT)
WIDTH = 0.32
"""Largest distance of a point from the middle of its column."""


def draw(results: Row) -> None:
    """Draw what came of each verdict, and the projections of true and false declarations."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), width_ratios=(1.4, 1))
    _draw_outcomes(left)
    _draw_ancestry(right, results)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})
    plt.close(figure)


def points() -> Iterator[tuple[Verdict, float, str]]:
    """Yield verdict, share and family of every healthy, useful teacher."""
    fresh = load(RESULTS / "gate_fresh.json", {})["figures"]["rows"]
    for family, rows in (("calibrated", calibrated_rows()), ("fresh", fresh)):
        for row in rows:
            if row["hard"]:
                yield Verdict(row["now"]), row["share"], family


def _draw_outcomes(axes: Axes) -> None:
    rng, found = random.Random(0), list(points())
    shown = [verdict for verdict in ORDER if any(verdict is each[0] for each in found)]
    for family, marker, color in (("calibrated", "o", "white"), ("fresh", "D", "black")):
        rows = [(verdict, share) for verdict, share, own in found if own == family]
        axes.scatter(
            [shown.index(verdict) + rng.uniform(-WIDTH, WIDTH) for verdict, _ in rows],
            [share for _, share in rows],
            marker=marker,
            s=34,
            facecolors=color,
            edgecolors="black",
            alpha=0.65,
            label=f"{family} family ({len(rows)})",
        )
    axes.axhline(1 - LOST, linestyle=":", color="0.4")
    axes.text(len(shown) - 0.55, 1 - LOST - 0.05, "lost below", ha="right", fontsize=8)
    axes.set_xticks(range(len(shown)), [verdict.value for verdict in shown])
    axes.set_xlim(-0.5, len(shown) - 0.5)
    axes.set_ylabel("came, as a share of what fits")
    axes.set_title("healthy teachers with a gain, merged in spite of the verdict", fontsize=10)
    axes.legend(fontsize=8, loc="lower left")


def _draw_ancestry(axes: Axes, results: Row) -> None:
    rows = [row for part in results["ancestry"].values() for row in part]
    for is_true, hatch in ((True, ""), (False, "//")):
        values = [max(-1.0, min(2.0, row["projection"])) for row in rows if row["true"] is is_true]
        axes.hist(
            values,
            bins=[-1 + 0.1 * n for n in range(31)],
            histtype="stepfilled",
            facecolor="0.75" if is_true else "white",
            edgecolor="black",
            hatch=hatch,
            alpha=0.8,
            label=f"{'true' if is_true else 'false'} declarations ({len(values)})",
        )
    axes.set_yscale("log")
    axes.set_xlabel("share of the parent's learning in the child")
    axes.legend(fontsize=8, loc="upper left")
    axes.set_ylim(top=2000)
