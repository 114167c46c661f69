"""How far the layers of a model look back."""

import inspect
from collections.abc import Collection

from transformers import PreTrainedModel
from transformers.cache_utils import get_layer_types_and_kwargs

from tasks.model.architecture import body_of

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
