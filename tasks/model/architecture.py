"""What a model says of its architecture: class, attention, body, and the layers that it repeats.

Of the repeated layers it says how far they look back, and lets each recompute its activations in
backward.
"""

import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast
from weakref import WeakKeyDictionary

from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.cache_utils import get_layer_types_and_kwargs
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.pytorch_utils import Conv1D

from tasks.contracts.refusal import RefusedError
from tasks.model.images import reads_images


def attention_for(config: PretrainedConfig) -> str:
    """Return the attention implementation of a model: "sdpa", or "eager" if it has no other.

    gpt-oss (attention sinks), Gemma 2 (capped scores), Bloom and state-space models have no sdpa.
    """
    return "sdpa" if getattr(model_class(config), "_supports_sdpa", False) else "eager"


def model_class(config: PretrainedConfig) -> type[PreTrainedModel]:
    """Return the class of a causal LM with this config.

    Raises:
        RefusedError: for a model of several parts, such as text and images, or no causal LM.
    """
    if config.get_text_config(decoder=True) is not config:
        raise RefusedError(
            "nested-config",
            f"{type(config).__name__} describes a model of several parts, and only its text model "
            "can be trained here: import the checkpoint (`provost checkpoint import`), which "
            "keeps the text model alone",
        )
    try:
        found = AutoModelForCausalLM._model_mapping[type(config)]
    except KeyError as error:
        raise RefusedError(
            "no-causal-lm",
            f"transformers has no causal LM for {type(config).__name__}: give a model that "
            "continues text",
        ) from error
    return cast("type[PreTrainedModel]", found[0] if isinstance(found, tuple) else found)


_OF_EXPERTS = frozenset({"gate_proj", "up_proj", "down_proj", "gate_up_proj", "w1", "w2", "w3"})
"""Names of the projections of a feed-forward network."""
ALL_LINEAR = "all-linear"
"""PEFT's name for every projection of attention and MLP, without the output head."""


def adapted_modules(model: PreTrainedModel) -> dict[str, nn.Linear | Conv1D]:
    """Return the modules of a model's body that get an adapter, by their names in the model.

    In a mixture of experts the feed-forward networks stay frozen, shared ones too: PEFT takes their
    names for the fused experts', and no checkpoint could hold what it wraps. So do the output
    projections of Mamba's layers, whose kernels read the weight past the adapter.
    """
    inner = set(body_of(model).modules())
    left_out = _OF_EXPERTS if _has_experts(model) else frozenset[str]()
    return {
        name: module
        for name, module in model.named_modules()
        if module in inner
        and isinstance(module, nn.Linear | Conv1D)
        and name.rpartition(".")[2] not in left_out
        and not (name.endswith(".out_proj") and _is_mamba(model, name))
    }


def widths(module: nn.Linear | Conv1D) -> tuple[int, int]:
    """Return the widths of a module's input and output."""
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    inputs, outputs = module.weight.shape
    return inputs, outputs


def adapter_targets(model: PreTrainedModel) -> str | list[str]:
    """Return the modules that get an adapter, as PEFT takes them: a list where some get none."""
    plain = [m for m in body_of(model).modules() if isinstance(m, nn.Linear | Conv1D)]
    adapted = adapted_modules(model)
    is_partial = _has_experts(model) or len(adapted) < len(plain)
    return sorted(adapted) if is_partial else ALL_LINEAR


def _has_experts(model: PreTrainedModel) -> bool:
    return any(True for _ in expert_weights(model))


def expert_weights(model: PreTrainedModel) -> Iterator[nn.Parameter]:
    """Yield the weights of experts: parameters of three dimensions."""
    for module in model.modules():
        if "experts" in type(module).__name__.lower():
            yield from (p for p in module.parameters(recurse=False) if p.dim() == 3)


def share_of_experts(model: PreTrainedModel) -> float:
    """Return which share of a model's weights are experts, which adapters leave as they are."""
    whole = sum(parameter.numel() for parameter in model.parameters())
    return sum(parameter.numel() for parameter in expert_weights(model)) / whole


def _is_mamba(model: PreTrainedModel, name: str) -> bool:
    parent = model.get_submodule(name.rpartition(".")[0])
    return "mamba" in type(parent).__name__.lower()


def declared_ends(model: PreTrainedModel) -> set[int]:
    """Return the tokens that end a text of a model, as config and generation config list them."""
    ends: set[int] = set()
    for config in (model.config, model.generation_config):
        declared = getattr(config, "eos_token_id", None)
        ends |= {declared} if isinstance(declared, int) else set(declared or ())
    return ends


def vocabulary_size(model: PreTrainedModel) -> int:
    """Return the number of logits of a token."""
    return int(model.config.get_text_config(decoder=True).vocab_size)


def positions_in(config: PretrainedConfig) -> int | None:
    """Return how many tokens a model with this config takes; None if it states no limit."""
    limit: int | None = getattr(
        config.get_text_config(decoder=True), "max_position_embeddings", None
    )
    return limit


def body_of(model: PreTrainedModel) -> PreTrainedModel:
    """Return the part of a causal LM that ends with the last hidden states.

    Of a model of images and text it is the text model; images come to it as embeddings.
    """
    body = model.base_model
    if reads_images(model.config):
        return cast("PreTrainedModel", body.language_model)
    # Llama 4's text model names another prefix than its attribute, so it is its own base model.
    return cast("PreTrainedModel", body if body is not model else getattr(model, "model", model))


_ATTENTION = {"full_attention", "sliding_attention"}


def attends_to_all(model: PreTrainedModel, num_tokens: int, forms: Collection[str]) -> bool:
    """Return whether each layer attends to all of ``num_tokens``, wherever they are in memory.

    It is False if layers keep recurrent states, share keys or use a shorter window, or if attention
    is biased by distance instead of rotated by position.

    Args:
        model: Any causal LM.
        num_tokens: Length of the longest sequence.
        forms: Accepted attention implementations.
    """
    text = model.config.get_text_config(decoder=True)
    layer_types, layers = get_layer_types_and_kwargs(text)
    windows = [one["sliding_window"] for one in layers if one.get("sliding_window") is not None]
    return (
        text._attn_implementation in forms
        and "position_ids" in inspect.signature(body_of(model).forward).parameters
        and not getattr(text, "alibi", False)
        and set(layer_types) <= _ATTENTION
        and all(num_tokens <= window for window in windows)
    )


_MARKED: WeakKeyDictionary[nn.Module, list[GradientCheckpointingLayer]] = WeakKeyDictionary()


def marked_layers(model: nn.Module) -> list[GradientCheckpointingLayer]:
    """Return the layers that an architecture marks as repeated, in order; cached per model."""
    if model not in _MARKED:
        _MARKED[model] = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    return _MARKED[model]


def blocks(model: PreTrainedModel) -> list[GradientCheckpointingLayer]:
    """Return the repeated layers of a model, in order.

    Raises:
        ValueError: for an architecture that does not mark them.
    """
    found = marked_layers(model)
    if not found:
        raise RefusedError(
            "unmarked-layers",
            f"{type(model).__name__} does not mark its repeated layers, so they can be neither "
            "checkpointed nor sharded: train it on one device, without activation_checkpointing",
        )
    return found


@contextmanager
def checkpointed(model: PreTrainedModel) -> Iterator[None]:
    """Recompute the activations of each block in backward; the gradients are the same.

    It does not use transformers' own switch, which works only in training mode. That mode turns on
    dropout, so the trained policy would differ from the sampled one, and a sampler leaves it
    whenever it samples. Module hooks, including those of sharding, stay outside the checkpoint.
    """
    marked = blocks(model)
    for block in marked:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    try:
        yield
    finally:
        for block in marked:
            del block.forward  # the class's own comes back


@contextmanager
def replaced_inside(
    block: nn.Module, change: Callable[[Callable[..., object]], Callable[..., object]]
) -> Iterator[None]:
    """Replace a block's computation for the context, inside its checkpoint if it has one."""
    before = vars(block).get("forward")
    if isinstance(before, partial) and before.func is checkpoint:
        block.forward = partial(checkpoint, change(*before.args), **before.keywords)
    else:
        block.forward = change(block.forward)
    try:
        yield
    finally:
        if before is None:
            del block.forward  # the class's own comes back
        else:
            block.forward = before
