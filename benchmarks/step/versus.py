"""Two sides in turns: A B A B, so that whatever else the machine does hits both."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.statistics import spread
from benchmarks.step.case import Case, Scene
from benchmarks.step.ours import Ours
from benchmarks.step.phases import Seconds, backward_timed
from benchmarks.step.trl import Trl

WARM_UP, WARM_UP_ON_GPU = 2, 1
"""Steps of each side that are not counted."""


def against_trl(case: Case, rows: int, steps: int, ledger: Path | None = None) -> dict[str, Any]:
    """Return times of both sides by phase, their ratio, and that their losses are equal."""
    scene = Scene(case)
    ours = Ours(scene, ledger=ledger)
    with tempfile.TemporaryDirectory() as folder:
        warm_up = WARM_UP if case.device == "cpu" else WARM_UP_ON_GPU
        trl = Trl(scene, rows, warm_up + steps, folder)
        taken: dict[str, list[Seconds]] = {"trl": [], "provost": []}

        def turn(seconds: Seconds) -> None:
            taken["trl"].append(seconds)
            taken["provost"].append(ours.step())

        loss = _losses(scene, trl, rows)
        with backward_timed(ours.phases, trl.phases):
            trl.run(between=turn)
    kept = {side: seconds[warm_up:] for side, seconds in taken.items()}
    return {
        "case": vars(case) | {"trl_rows": rows, "steps": steps},
        "loss_on_the_same_tokens": loss,
        "ratio": ratios(kept["trl"], kept["provost"]),
        **{side: summary(seconds) for side, seconds in kept.items()},
    }


def ratios(slow: Sequence[Seconds], fast: Sequence[Seconds]) -> dict[str, Any]:
    """Return the ratio of neighboring steps, by wall clock and by processor time."""
    return {
        clock: _each([total(a, place) / total(b, place) for a, b in zip(slow, fast, strict=True)])
        for place, clock in enumerate(("wall", "processor"))
    }


def summary(steps: Sequence[Seconds]) -> dict[str, Any]:
    """Return wall and processor seconds of the whole step and of each phase."""
    names = sorted({name for seconds in steps for name in seconds})
    return {
        clock: {"step": _each([total(seconds, place) for seconds in steps])}
        | {name: _each([s.get(name, (0.0, 0.0))[place] for s in steps]) for name in names}
        for place, clock in enumerate(("wall", "processor"))
    }


def _each(values: Sequence[float]) -> dict[str, Any]:
    """Return the median with its quartiles, and the values that they come from."""
    return spread(values) | {"each": [float(f"{value:.4g}") for value in values]}


def total(seconds: Mapping[str, tuple[float, float]], place: int) -> float:
    """Return all phases' wall (0) or processor (1) seconds."""
    return sum(phase[place] for phase in seconds.values())


def _losses(scene: Scene, trl: Trl, rows: int) -> dict[str, float]:
    """Return both losses, and the norms of their gradients, of one microbatch of TRL's."""
    fresh = Ours(scene)
    rollouts = fresh.source.rollouts(1)[:rows]
    fresh.step(rollouts)
    theirs, their_norm = trl.loss(rollouts)
    own, own_norm = fresh.metrics["loss"], fresh.metrics["gradient_norm"]
    return {
        "provost": own,
        "trl": theirs,
        "relative_difference": abs(own - theirs) / abs(theirs),
        "gradient_norm_provost": own_norm,
        "gradient_norm_trl": their_norm,
        "gradient_norm_relative_difference": abs(own_norm - their_norm) / their_norm,
        "response_tokens": sum(r.num_response_tokens for r in rollouts),
    }
