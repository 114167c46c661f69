"""Run the last MLP only on the tokens that are read out.

After the last attention no token depends on another. If only some tokens' hidden states are
needed, the last feed-forward network can skip the rest. The numbers do not change, and a prompt's
tokens stop a layer earlier. In the demo (three layers, half of all tokens are prompts) this saves a
tenth of a step.

Shapes: B sequences, S tokens of each, N wanted tokens, D hidden size.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tasks.model.checkpointing import marked_layers, replaced_inside

Layer = Callable[..., object]
Mlp = Callable[..., Tensor | tuple[Tensor, ...]]
"""Maps hidden states to their update; a mixture of experts may also return router scores."""


@contextmanager
def last_mlp_only_at(model: PreTrainedModel, places_N: Tensor) -> Iterator[None]:
    """Run the last layer's MLP only on the tokens ``places_N``; it adds zero to all others.

    Args:
        model: Any causal LM; without an ``mlp`` in its layers it computes as usual.
        places_N: Flat indices into all B x S tokens, row by row.
    """
    layers = marked_layers(model)
    mlp = getattr(layers[-1], "mlp", None) if layers else None
    if not isinstance(mlp, nn.Module) or "forward" in vars(mlp):
        yield
        return

    def narrowed(layer: Layer) -> Layer:
        def forward(*inputs: object, **named: object) -> object:
            mlp.forward = _only_at(places_N, mlp.forward)
            try:
                return layer(*inputs, **named)
            finally:
                del mlp.forward  # the class's own comes back

        return forward

    # All of it inside the layer: a checkpoint computes that again when this context is over.
    with replaced_inside(layers[-1], narrowed):
        yield


def _only_at(places_N: Tensor, whole: Mlp) -> Mlp:
    def forward(hidden_BSD: Tensor, *more: object, **named: object) -> Tensor | tuple[Tensor, ...]:
        if more or named:  # Bloom's takes the residual as well: what it adds is not known here
            return whole(hidden_BSD, *more, **named)
        flat_TD = hidden_BSD.reshape(-1, hidden_BSD.shape[-1])
        result = whole(flat_TD.index_select(0, places_N)[None])
        wanted_1ND, *rest = result if isinstance(result, tuple) else (result,)
        added_TD = torch.zeros_like(flat_TD, dtype=wanted_1ND.dtype)
        added_BSD = added_TD.index_copy(0, places_N, wanted_1ND[0]).view_as(hidden_BSD)
        return (added_BSD, *rest) if rest else added_BSD

    return forward
