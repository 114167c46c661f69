"""What the ledger adds to a step: nothing kept, sources told apart, everything kept."""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common.statistics import spread
from benchmarks.step.case import Case, Scene
from benchmarks.step.ours import Ours
from benchmarks.step.phases import Seconds
from benchmarks.step.versus import WARM_UP, total

SIDES = ("one AdamW", "split by source", "ledger")
SEGMENT = 10
"""Steps from one closing of a segment to the next; a multiple of them is measured."""


def ledger_overhead(case: Case, segments: int) -> dict[str, Any]:
    """Return the seconds of steps on the same rollouts, and what the ledger adds to a step."""
    scene = Scene(case)
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "one AdamW": Ours(scene, split=False),
            "split by source": Ours(scene),
            "ledger": Ours(scene, ledger=Path(folder) / "ledger"),
        }
        taken: dict[str, list[Seconds]] = {side: [] for side in SIDES}
        rolled = []
        for _ in range(WARM_UP + SEGMENT * segments):
            sides["one AdamW"].phases.start()
            with sides["one AdamW"].phases("rollout"):
                rollouts = sides["one AdamW"].source.rollouts(1)
            rolled.append(sides["one AdamW"].phases.stop())
            for side, ours in sides.items():
                taken[side].append(ours.step(rollouts))
    return {"case": vars(case)} | {
        clock: _figures(rolled[WARM_UP:], {s: t[WARM_UP:] for s, t in taken.items()}, place)
        for place, clock in enumerate(("wall", "processor"))
    }


def _figures(rolled: list[Seconds], taken: dict[str, list[Seconds]], place: int) -> dict[str, Any]:
    """Return updates' seconds, and overheads as shares of a whole step with one AdamW.

    Means, not medians: a segment is closed in one step of ten, and that counts.
    """
    mean = {
        side: sum(total(seconds, place) for seconds in steps) / len(steps)
        for side, steps in taken.items()
    }
    rollout = sum(total(seconds, place) for seconds in rolled) / len(rolled)
    step = rollout + mean["one AdamW"]
    return {
        "rollout_seconds": round(rollout, 4),
        "update_seconds_mean": {side: round(seconds, 4) for side, seconds in mean.items()},
        "update_seconds": {
            side: spread([total(s, place) for s in steps]) for side, steps in taken.items()
        },
        "overhead_of_a_step": {
            side: round((mean[side] - mean["one AdamW"]) / step, 4) for side in SIDES[1:]
        },
        "target": "at most 0.15 with four teachers",
    }
