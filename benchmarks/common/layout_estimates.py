"""Single figures of the layouts that README names, by the estimate of ``provost estimate``.

They rest on no measurement of these sizes.
"""

from collections.abc import Callable
from functools import partial

from tasks.estimate.layouts import Change, Fit
from tasks.estimate.question import fits_of
from tasks.estimate.shape import named_shape
from tasks.model.settings import AdapterSettings
from tasks.mopd.launch_form import launch_spec
from tasks.platform.resources import load_flavor

_GIB = 1 << 30
PROMPT_TOKENS = 512
"""The default of ``provost estimate``."""
SETTINGS = ["student_precision=bf16", "placement=sharded", "max_new_tokens=1024"]
"""Inputs of a launch, as README's command has them."""
AS_IT_IS = Change()
REPLAY = Change(ledger={"displacements": False})
ADAPTER = Change(loop={"adapter": AdapterSettings(rank=16, alpha=32)})


def layout(name: str, teachers: int, ranks: int) -> Fit:
    """Return a round of a student and so many teachers of its size on H100s."""
    load = launch_spec({"settings": SETTINGS}).workload
    shape, flavor = named_shape(name), load_flavor("h100")
    (fit,) = fits_of(shape, [shape] * teachers, flavor, load, PROMPT_TOKENS, ranks=(ranks,))
    return fit


def rank_gib(name: str, teachers: int, ranks: int, change: Change = AS_IT_IS) -> str:
    """Return GiB of a rank at the peak, with a change of the layout."""
    return f"{change.of(layout(name, teachers, ranks)).peak.total / _GIB:,.0f}"


def host_gib(name: str, teachers: int, ranks: int) -> str:
    """Return GiB of the first node's host at its largest moment, and what a node has."""
    fit = layout(name, teachers, ranks)
    return f"{fit.host.total / _GIB:,.0f} of {fit.limits.host / _GIB:,.0f} GiB"


LAYOUT_FIGURES: dict[str, Callable[[], str]] = {
    "rank_8b_on_8": partial(rank_gib, "qwen3-8b", 4, 8),
    "rank_8b_on_8_by_replay": partial(rank_gib, "qwen3-8b", 4, 8, REPLAY),
    "rank_8b_on_16": partial(rank_gib, "qwen3-8b", 4, 16),
    "rank_8b_on_64": partial(rank_gib, "qwen3-8b", 4, 64),
    "rank_32b_on_64": partial(rank_gib, "qwen3-32b", 12, 64),
    "rank_32b_on_64_adapter": partial(rank_gib, "qwen3-32b", 12, 64, ADAPTER),
    "host_32b_on_64": partial(host_gib, "qwen3-32b", 12, 64),
}
"""What stands inside a line, by name."""
