"""Where a loaded model computes: on this rank's accelerator, or on the CPU without one.

A model is loaded into host memory. A step that samples or scores with it moves it first.
"""

from typing import TypeVar

import torch
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


def where_it_fits(policy: Policy, copies: int) -> Policy:
    """Return the same policy, on this rank's device if that is free for ``copies`` of its weights.

    Without that much room it stays in host memory, and its passes take their time.
    """
    device = rank_device()
    if device.type == "cuda":
        weights = sum(p.numel() * p.element_size() for p in policy.model.parameters())
        if copies * weights <= torch.cuda.mem_get_info(device)[0]:
            return on_rank_device(policy)
    return policy
