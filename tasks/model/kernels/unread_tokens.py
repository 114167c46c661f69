"""Skip the work on tokens whose result is known or is not read.

Padding is not computed. A prefix that sequences share is computed once, instead of once per
sequence: the prompt of a group of responses, or what all prompts of a domain begin with. Everything
except attention looks at single tokens, so the model gets one packed row (``shared_prefixes``).
Attention gets the whole sequences again and runs its usual kernel. No number changes beyond
rounding, forward or backward.

The last MLP runs only on the tokens that are read out. After the last attention no token depends on
another. If only some tokens' hidden states are needed, the last feed-forward network can skip the
rest. The numbers do not change, and a prompt's tokens stop a layer earlier. In the demo (three
layers, half of all tokens are prompts) this saves a tenth of a step.

Shapes: B sequences of S tokens, T packed tokens, N wanted tokens, A heads, D head size or hidden
size.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from tasks.model.architecture import attends_to_all, body_of, marked_layers, replaced_inside
from tasks.model.kernels.shared_prefixes import Packing, PrefixRun
from tasks.model.kernels.switch import kernels_are_on

_CLOSE_IN_BF16 = 0.08
"""Share of the largest hidden number by which rounding may move any (``log_probs``)."""
_NAME = "shared_beginning"
"""Name that selects this attention in a model's config."""


class _NotAskedError(Exception):
    """A layer did not use this module's attention."""


_PACKING: ContextVar[Packing] = ContextVar("packing")
_KNOWN: WeakKeyDictionary[PreTrainedModel, bool] = WeakKeyDictionary()


def packing_of(
    model: PreTrainedModel,
    ids_BS: Tensor,
    lengths_B: Sequence[int],
    runs: Sequence[PrefixRun] = (),
) -> Packing | None:
    """Return the packing of a batch; None if it does not pay or the model cannot be packed.

    Args:
        model: Any causal LM.
        ids_BS: The batch, padded on the right.
        lengths_B: Number of tokens of each sequence, without padding.
        runs: Its runs of sequences that begin alike; () for none.
    """
    length = ids_BS.shape[1]
    # Tried even if nothing is shared: if several ranks hold a model's shards, all of them
    # must come to this pass, and what is shared differs from rank to rank.
    if not reads_prefixes_once(model, length):
        return None
    packing = Packing(length, lengths_B, runs)
    return packing if packing.pays else None


def reads_prefixes_once(model: PreTrainedModel, length: int) -> bool:
    """Return whether shared prefixes of sequences of ``length`` tokens are computed once.

    Padding is not computed then.
    """
    return kernels_are_on() and _can_be_packed(model) and attends_to_all(model, length, ("sdpa",))


def packed_hidden(model: PreTrainedModel, ids_BS: Tensor, packing: Packing) -> Tensor:
    """Return the last layer's hidden states of the packed row [1, T, hidden size]."""
    ids_1T, positions_1T = packing.pack(ids_BS)
    with _attending(model, packing):
        output = body_of(model)(input_ids=ids_1T, position_ids=positions_1T, use_cache=False)
    return output.last_hidden_state  # type: ignore[no-any-return]


@torch.no_grad()
def _can_be_packed(model: PreTrainedModel) -> bool:
    """Return whether a model's numbers stay the same; tried once per model, on two sequences."""
    if model not in _KNOWN:
        _KNOWN[model] = attends_to_all(model, 4, ("sdpa",)) and _is_the_same(model)
    return _KNOWN[model]


def _is_the_same(model: PreTrainedModel) -> bool:
    ids_BS = torch.tensor([[1, 2, 3, 4], [1, 2, 4, 3]], device=model.device)
    ids_BS %= model.config.get_text_config(decoder=True).vocab_size
    packing = Packing(4, [4, 3], [PrefixRun(2, 2)])
    plain_BSH = body_of(model)(input_ids=ids_BS, use_cache=False).last_hidden_state
    try:
        packed_TH = packed_hidden(model, ids_BS, packing)[0]
    except _NotAskedError:
        return False
    plain_TH = torch.cat((plain_BSH[0], plain_BSH[1, 2:3]))
    # Lost weights (NaN in both) are reported elsewhere, where the numbers are read.
    close = 0.02 if model.dtype == torch.float32 else _CLOSE_IN_BF16
    room = close * float(plain_TH.abs().nan_to_num().max())
    return torch.allclose(plain_TH, packed_TH, rtol=close, atol=room, equal_nan=True)


@contextmanager
def _attending(model: PreTrainedModel, packing: Packing) -> Iterator[None]:
    """Route a model's attention through here, also when a layer is recomputed later."""
    text = model.config.get_text_config(decoder=True)

    def inside(layer: Callable[..., object]) -> Callable[..., object]:
        def forward(*inputs: object, **named: object) -> object:
            packing.asked = 0
            told = _PACKING.set(packing)
            try:
                with _implementation(text):
                    result = layer(*inputs, **named)
            finally:
                _PACKING.reset(told)
            if packing.asked != 1:
                raise _NotAskedError(
                    f"a layer of {type(model).__name__} used this attention {packing.asked} times "
                    "instead of once, so a packed row would mix its sequences. It was tried "
                    "before any use, so this is a bug: report it"
                )
            return result

        return forward

    with ExitStack() as stack:
        for layer in marked_layers(model):
            stack.enter_context(replaced_inside(layer, inside))
        # Outside of the layers too: the mask is made before the first of them.
        stack.enter_context(_implementation(text))
        yield


@contextmanager
def _implementation(text: Any) -> Iterator[None]:  # noqa: ANN401 - a config of any model
    before = text._attn_implementation
    text._attn_implementation = _NAME
    try:
        yield
    finally:
        text._attn_implementation = before


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _mask: Tensor | None,
    **others: Any,  # noqa: ANN401 - transformers' own signature
) -> tuple[Tensor, Tensor | None]:
    """Return [1, T, A, D] for packed queries, keys and values [1, A, T, D]."""
    packing = _PACKING.get()
    packing.asked += 1
    query, key, value = (packing.whole(packed) for packed in (query, key, value))
    # Beginnings are mixed again for each sequence. Own queries alone would need a mask, for which
    # torch's kernels are slower than what they save.
    mixed_BSAD, weights = sdpa_attention_forward(module, query, key, value, None, **others)
    return packing.packed(mixed_BSAD), weights


def _no_mask(*_args: object, **_kwargs: object) -> None:
    """Return no mask: padding is at the right, which causal attention never reads."""


AttentionInterface.register(_NAME, _attention)
AttentionMaskInterface.register(_NAME, _no_mask)


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
    if not kernels_are_on() or not isinstance(mlp, nn.Module) or "forward" in vars(mlp):
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
