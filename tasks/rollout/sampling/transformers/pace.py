"""Batch sizes for sampling on each kind of device, measured by ``benchmarks.step.sampler``."""

from dataclasses import dataclass, replace

from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel

from tasks.model.kernels.switch import kernels_are_on

_LATE_ROPE = {"dynamic", "longrope"}
"""Rotary embeddings that read the longest position of a pass and wait for the GPU."""


@dataclass(frozen=True)
class Pace:
    """Portions in which a batch is sampled."""

    context_tokens: int
    """Tokens of contexts per pass."""
    shared_tokens: int
    """Minimum saved tokens for which a prefix that all contexts share runs in a pass of its own;
    the others then need a mask."""
    repeated_tokens: int
    """Minimum saved tokens for which a repeated context runs through the model once; distributing
    its columns copies the cache."""
    more_columns: int
    """Number of columns by which the cache grows."""
    look_every: int
    """Tokens between checks for finished rows; on a GPU each check waits for the device."""
    compact_below: float
    """Share of unfinished rows below which finished rows are removed."""
    is_recorded: bool
    """Whether a step is recorded once and then repeated (CUDA graph), if the model allows it."""


ON_CPU = Pace(
    context_tokens=2048,
    shared_tokens=1024,
    repeated_tokens=1024,
    more_columns=32,
    look_every=1,
    compact_below=0.75,
    is_recorded=False,
)
# Reasoned from what a pass costs on a GPU; only the recording was seen to work there.
ON_GPU = Pace(
    context_tokens=32768,
    shared_tokens=8192,
    repeated_tokens=8192,
    more_columns=128,
    look_every=8,
    compact_below=0.5,
    is_recorded=True,
)


def pace_of(model: PreTrainedModel) -> Pace:
    """Return the pace of a model's device, without recording where that cannot be done.

    It cannot where a pass waits for the GPU or does not always do the same: experts that are picked
    on the host, rotary embeddings that look at positions, shards, which are looked for first.
    """
    if model.device.type != "cuda":
        return ON_CPU
    rope = getattr(model.config.get_text_config(decoder=True), "rope_parameters", None) or {}
    records = (
        kernels_are_on()
        and bool(model._can_compile_fullgraph)  # what transformers itself goes by
        and rope.get("rope_type") not in _LATE_ROPE
        and not any(isinstance(module, FSDPModule) for module in model.modules())
    )
    return replace(ON_GPU, is_recorded=records)
