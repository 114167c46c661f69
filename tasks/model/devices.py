"""Where a loaded model computes: on this rank's accelerator, or on the CPU without one.

A model is loaded into host memory. A step that samples or scores with it moves it first.
"""

from typing import TypeVar

from torch import nn
from transformers import PreTrainedModel

from tasks.model.files import Policy
from tasks.platform.ranks import rank_device

Computing = TypeVar("Computing", Policy, PreTrainedModel)


def on_rank_device(loaded: Computing) -> Computing:
    """Return the same policy or model, moved to this rank's device."""
    model = loaded.model if isinstance(loaded, Policy) else loaded
    nn.Module.to(model, rank_device())
    return loaded
