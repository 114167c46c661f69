"""The student as it learns: its adapters, its precision, its shards where several ranks train."""

import torch
from transformers import PreTrainedModel

from tasks.model.lora import add_adapter, is_projection
from tasks.model.norm import write_norms_by_hand
from tasks.model.shards import to_fp32
from tasks.onpolicy.parallel.sharding import shard
from tasks.onpolicy.settings import LoopSettings, Precision
from tasks.ranks import num_ranks


def prepare(model: PreTrainedModel, settings: LoopSettings) -> torch.dtype | None:
    """Bring a model into the form in which it learns, in place.

    Adapters are added where they are asked for. Trained weights become fp32, and all ranks'
    shards where there are several; what is frozen takes the precision of computing. Buffers keep
    theirs: rotary frequencies must not be rounded.

    Returns:
        The precision of the copies that the optimizer is to leave in the model; None where the
        model holds the masters, which shards do: they are cast when they are gathered.
    """
    compute = torch.bfloat16 if settings.precision is Precision.BF16 else torch.float32
    if settings.adapter is not None:
        add_adapter(model, settings.adapter)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = to_fp32(parameter.data)
        else:
            parameter.data = parameter.data.to(compute)
    write_norms_by_hand(model)
    if num_ranks() > 1:
        shard(model, compute)
        return None
    return compute if compute is not torch.float32 else None


def num_trained(model: PreTrainedModel, settings: LoopSettings) -> int:
    """Return how many numbers a rank will train of a model that is not prepared yet."""
    adapter = settings.adapter
    if adapter is None:
        numbers = sum(p.numel() for p in model.parameters() if p.requires_grad)
    else:
        inner = (module for module in model.base_model.modules() if is_projection(module))
        numbers = sum(adapter.rank * sum(module.weight.shape) for module in inner)
    return -(-numbers // num_ranks())
