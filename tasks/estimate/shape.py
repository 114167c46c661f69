"""The sizes of a model that its memory and time follow from, counted without its weights.

The architecture is built on torch's meta device, which holds shapes and no numbers, so any causal
LM of transformers can be counted from its ``config.json`` alone.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.utils import CONFIG_NAME

from tasks.contracts.refusal import RefusedError
from tasks.estimate.presets import PRESETS
from tasks.model.architecture import (
    adapted_modules,
    body_of,
    expert_weights,
    marked_layers,
    model_class,
    widths,
)


@dataclass(frozen=True)
class Shape:
    """A causal LM in numbers."""

    name: str
    num_layers: int
    hidden: int
    """Width of a token's hidden state."""
    attended: int
    """Width of all query heads together."""
    key_value: int
    """Width of all key heads together; values have the same."""
    feed_forward: int
    """Width of the feed-forward network, of all experts of a token together."""
    vocabulary: int
    layers: int
    """Parameters of all layers."""
    layer: int
    """Parameters of the largest layer."""
    embedding: int
    """Parameters of the token embedding."""
    rest: int
    """Parameters of the body beside layers and embedding."""
    head: int
    """Parameters of the output head; 0 if they are the embedding's."""
    unread: int
    """Parameters of experts that a token does not pass through."""
    adapted: int
    """Parameters of LoRA adapters of rank 1."""
    adapted_inputs: int
    """Those of them that read a module's input; the others write to its output."""
    largest: int
    """Number of elements of the largest parameter."""
    norms_heads: bool
    """Whether queries and keys have norms of their own."""
    saved_bytes: int
    """Bytes of a number in the model's files."""

    @property
    def body(self) -> int:
        """Parameters of the body."""
        return self.layers + self.embedding + self.rest

    @property
    def total(self) -> int:
        """All parameters; shared ones count once."""
        return self.body + self.head

    @property
    def active(self) -> int:
        """Parameters that a token passes through."""
        return self.total - self.unread


def named_shape(name: str) -> Shape:
    """Return the shape of a preset, or of a folder with a ``config.json``.

    Raises:
        RefusedError: the name is neither, or the folder holds no causal LM.
    """
    if name in PRESETS:
        preset = PRESETS[name]
        return shape_of(AutoConfig.for_model(preset.model_type, **preset.numbers), name)
    folder = Path(name)
    if not (folder / "config.json").is_file():
        raise RefusedError(
            "unknown-model",
            f"{name!r} is neither a known model nor a folder with a config.json: give a folder, or "
            f"one of {', '.join(PRESETS)}",
        )
    return shape_of_folder(folder, name)


def shape_of_folder(folder: Path, name: str) -> Shape:
    """Return the shape of the model in a Hugging Face folder, from its ``config.json`` alone."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return shape_of(config, name)


def shape_of(config: PretrainedConfig, name: str) -> Shape:
    """Return the shape of a causal LM; of a model of several parts, that of its text model."""
    return _counted(config.get_text_config(decoder=True).to_json_string(use_diff=False), name)


@lru_cache(maxsize=64)
def _counted(text: str, name: str) -> Shape:
    # From a file: in text, a number such as infinity is an object that only this way reads.
    with TemporaryDirectory() as folder:
        (Path(folder) / CONFIG_NAME).write_text(text)
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        model = model_class(config)(config)
    body, head = body_of(model), model.get_output_embeddings()
    embedding = sum(p.numel() for p in model.get_input_embeddings().parameters())
    layers = [sum(p.numel() for p in layer.parameters()) for layer in marked_layers(model)]
    experts = sum(parameter.numel() for parameter in expert_weights(model))
    query, key_value, has_norms = _attention(config, model)
    in_body = {id(p): p.numel() for p in body.parameters()}
    adapted = [widths(module) for module in adapted_modules(model).values()]
    return Shape(
        name=name,
        num_layers=len(layers) or int(config.num_hidden_layers),
        hidden=int(config.hidden_size),
        attended=query,
        key_value=key_value,
        feed_forward=_feed_forward(config),
        vocabulary=int(config.vocab_size),
        layers=sum(layers),
        layer=max(layers, default=0),
        embedding=embedding,
        rest=sum(in_body.values()) - sum(layers) - embedding,
        head=sum(p.numel() for p in head.parameters() if id(p) not in in_body),
        unread=experts - round(experts * _share_of_experts(config)),
        adapted=sum(map(sum, adapted)),
        adapted_inputs=sum(inputs for inputs, _ in adapted),
        largest=max(parameter.numel() for parameter in model.parameters()),
        norms_heads=has_norms,
        saved_bytes=2 if config.dtype in _HALF else 4,
    )


_HALF = (torch.bfloat16, torch.float16, "bfloat16", "float16")


def _attention(config: PretrainedConfig, model: PreTrainedModel) -> tuple[int, int, bool]:
    """Return the widths of all query and all key heads, and whether they have norms."""
    heads = int(getattr(config, "num_attention_heads", 0) or 0)
    size = getattr(config, "head_dim", None) or (config.hidden_size // heads if heads else 0)
    key_heads = int(getattr(config, "num_key_value_heads", None) or heads)
    has_norms = any(name.endswith(("q_norm", "q_layernorm")) for name, _ in model.named_modules())
    # A model without attention keeps states of about the hidden size.
    return heads * size or config.hidden_size, key_heads * size, has_norms


_CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k")
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")


def _share_of_experts(config: PretrainedConfig) -> float:
    chosen, every = _first(config, _CHOSEN), _first(config, _EXPERTS)
    return chosen / every if chosen and every else 1.0


def _feed_forward(config: PretrainedConfig) -> int:
    chosen = _first(config, _CHOSEN)
    own = _first(config, ("intermediate_size", "n_inner", "ffn_dim")) or 4 * config.hidden_size
    if not chosen or not _first(config, _EXPERTS):
        return own
    of_expert = _first(config, ("moe_intermediate_size",)) or own
    shared = _first(config, ("n_shared_experts",)) * of_expert
    return chosen * of_expert + (shared or _first(config, ("shared_expert_intermediate_size",)))


def _first(config: PretrainedConfig, names: tuple[str, ...]) -> int:
    """Return the first of these numbers that a config has, or 0."""
    found = (getattr(config, name, None) for name in names)
    return next((int(number) for number in found if isinstance(number, int)), 0)
