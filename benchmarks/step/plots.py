"""Draws the results of step.py; every series has a hatch or a line style, so gray is enough."""

from collections.abc import Callable
from functools import partial
from typing import Any

import matplotlib as mpl

from benchmarks.common.circumstances import PICTURES, read

mpl.use("Agg")
mpl.rcParams["svg.hashsalt"] = "performance"

from matplotlib import pyplot as plt  # noqa: E402 - after the backend is chosen
from matplotlib.axes import Axes  # noqa: E402

PHASES = {
    "rollout": ("0.95", ""),
    "teacher forward": ("0.8", "//"),
    "student forward": ("0.65", "\\\\"),
    "heads and loss": ("0.5", ".."),
    "backward": ("0.35", ""),
    "optimizer": ("0.2", "xx"),
    "rest": ("0.0", ""),
}
"""Shade and hatch."""
CURVES = {
    "length": "new tokens a rollout (64 rollouts)",
    "batch": "rollouts a step (24 new tokens)",
    "teachers": "teachers (192 rollouts in all)",
    "vocabulary": "vocabulary (32 rollouts)",
}


def draw_all() -> None:
    """Draw the comparison, and a picture for each curve."""
    _save("versus", _versus)
    for curve, label in CURVES.items():
        _save(curve, partial(_curve, curve=curve, label=label))


def _save(name: str, draw: Callable[[list[Axes]], None]) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4))
    draw(axes)
    figure.tight_layout()
    figure.savefig(PICTURES / f"performance-{name}.png", dpi=110, metadata={"Software": None})
    plt.close(figure)


def _versus(axes: list[Axes]) -> None:
    found = read("step_versus_cpu1")
    for place, clock in enumerate(("processor", "wall")):
        bars = {
            side: {phase: found[side][clock][phase]["median"] for phase in PHASES}
            for side in ("trl", "provost")
        }
        _stack(axes[place], bars)
        ratio = found["ratio"][clock]["median"]
        axes[place].set_title(f"one thread: {ratio:.2f} times as fast")
        axes[place].set_ylabel(f"{clock} seconds a step")
    axes[1].legend(*_legend(axes[1]), fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))


def _curve(axes: list[Axes], curve: str, label: str) -> None:
    figures = read(f"step_{curve}")
    full = figures["full_vocabulary"]
    _stack(axes[0], {point: values["processor_seconds"] for point, values in full.items()})
    axes[0].set_ylabel("processor seconds a step")
    axes[0].set_ylim(top=1.6 * axes[0].get_ylim()[1])  # room for the legend above the bars
    axes[0].legend(*_legend(axes[0]), fontsize=7, ncols=2, loc="upper left")
    for form, style in (("full_vocabulary", "k-o"), ("sampled_token", "k--s")):
        if form in figures:
            memory = [values["peak_mib"] for values in figures[form].values()]
            axes[1].plot(list(figures[form]), memory, style, label=form.replace("_", " "))
    before = [values["peak_before_first_step_mib"] for values in full.values()]
    axes[1].plot(list(full), before, "k:^", label="before the first step")
    axes[1].set_ylim(bottom=0)
    axes[1].set_ylabel("peak memory of the process (MiB)")
    axes[1].legend(fontsize=7)
    if curve == "teachers":
        _large_teachers(axes[1])
    for one in axes:
        one.set_xlabel(label)
        one.tick_params(axis="x", labelsize=8)


def _large_teachers(axes: Axes) -> None:
    """Draw instead what teachers of 109 million weights take, which the demo's cannot show."""
    memory = read("teacher_pool")["memory"]
    axes.clear()
    mapped = {number: found["peak_mib"] for number, found in memory.items() if number.isdigit()}
    axes.plot(list(mapped), list(mapped.values()), "k-o", label="mapped from disk, by turns")
    axes.plot(["12"], [memory["12 resident"]["peak_mib"]], "k*", label="all resident", ms=11)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("peak memory, 109 M weights each (MiB)")
    axes.legend(fontsize=7)


def _stack(axes: Axes, bars: dict[str, dict[str, float]]) -> None:
    """Draw a bar for each name, made of its phases."""
    floor = [0.0] * len(bars)
    for phase, (shade, hatch) in PHASES.items():
        heights = [seconds.get(phase, 0.0) for seconds in bars.values()]
        axes.bar(
            list(bars),
            heights,
            0.6,
            floor,
            color=shade,
            hatch=hatch,
            edgecolor="black",
            linewidth=0.6,
            label=phase,
        )
        floor = [low + height for low, height in zip(floor, heights, strict=True)]


def _legend(axes: Axes) -> tuple[list[Any], list[str]]:
    """Return the legend's entries in the order in which the bars stand, from above."""
    handles, labels = axes.get_legend_handles_labels()
    return handles[::-1], labels[::-1]
