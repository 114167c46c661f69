"""Chooses how a model reads its rows: the fastest way that gives the model's own numbers.

A model's layers may ignore a mask, pad in the wrong place, or take no cache at all and swallow it
without a word, so that every token would be drawn without its context. So each way is compared once
per model with plain forward passes, before anything is sampled.
"""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tasks.contracts.refusal import RefusedError
from tasks.model.log_probs import head_logits, room_for_rounding, tried_ids
from tasks.platform.progress import report
from tasks.rollout.sampling.transformers.cache import fits
from tasks.rollout.sampling.transformers.pace import Pace, pace_of
from tasks.rollout.sampling.transformers.readers import Columns, Padded, Reader, Whole


class Way(StrEnum):
    """How rows are read."""

    COLUMNS = "columns"
    """A cache that is allocated ahead."""
    PADDED = "padded"
    """The cache of transformers, with padding at the left."""
    WHOLE = "whole"
    """A pass over a whole row for each new token, without a cache."""


_CONTEXTS = ((1, 2, 3, 4, 5, 6, 7), (1, 2, 8), (1, 2, 8), (1, 2, 9, 10, 3))
_TOKENS = ((5, 6, 7, 4), (9, 3, 5, 6), (4, 8, 2, 3))
"""Tokens that each row reads after its context."""
_KEPT = (0, 2, 3)
"""Rows that go on after the second token."""
_KNOWN: WeakKeyDictionary[PreTrainedModel, dict[Way, str]] = WeakKeyDictionary()
"""What is wrong with each way that was tried; empty if nothing is."""


def way_of(model: PreTrainedModel, num_columns: int) -> Way:
    """Return how a model reads rows of up to ``num_columns`` tokens.

    Raises:
        RefusedError: if even a pass without a cache does not give the model's own numbers.
    """
    known = _KNOWN.setdefault(model, {})
    if fits(model, num_columns) and _is_verified(model, Way.COLUMNS, known):
        return Way.COLUMNS
    if _is_verified(model, Way.PADDED, known):
        return Way.PADDED
    is_new = Way.WHOLE not in known
    if not _is_verified(model, Way.WHOLE, known):
        raise RefusedError(
            "unknown-logits",
            f"{type(model).__name__} has other logits when rows are padded at their right, so it "
            "can be neither sampled nor scored here: use a causal LM",
        )
    if is_new:
        report(
            "sampling",
            0,
            0,
            message=f"warning: the caches of {type(model).__name__} do not repeat the numbers of "
            "its forward pass, so each new token costs a pass over its whole row "
            f"({'; '.join(f'{tried}: {known[tried]}' for tried in known if known[tried])})",
        )
    return Way.WHOLE


def refuse_unpadded(model: PreTrainedModel) -> None:
    """Refuse a model of images if its cache does not repeat its own numbers.

    Raises:
        RefusedError: ``images-not-sampled``.
    """
    known = _KNOWN.setdefault(model, {})
    if not _is_verified(model, Way.PADDED, known):
        raise RefusedError(
            "images-not-sampled",
            f"the cache of {type(model).__name__} does not repeat the numbers of its forward pass "
            f"({known[Way.PADDED]}), and prompts with images are sampled with a cache alone: use "
            "a model with such a cache",
        )


def reader_of(
    model: PreTrainedModel,
    way: Way,
    contexts: Sequence[Sequence[int]],
    num_new: int,
    pad_id: int,
    pace: Pace,
) -> Reader:
    """Return a reader of contexts and of up to ``num_new`` tokens after each."""
    match way:
        case Way.COLUMNS:
            return Columns(model, contexts, num_new, pace)
        case Way.PADDED:
            return Padded(model, contexts, pad_id)
        case Way.WHOLE:
            return Whole(model, contexts)


def _is_verified(model: PreTrainedModel, way: Way, known: dict[Way, str]) -> bool:
    if way not in known:
        known[way] = _fault(model, way)
    return not known[way]


@torch.no_grad()
def _fault(model: PreTrainedModel, way: Way) -> str:
    """Return what is wrong with a way; nothing if it gives the numbers of a plain pass."""
    size = model.config.get_text_config(decoder=True).vocab_size
    contexts = [tried_ids(context, size) for context in _CONTEXTS]
    tokens = torch.tensor([tried_ids(row, size) for row in _TOKENS], device=model.device).T
    # Sharing and repeats are tried too, however little they save here.
    pace = replace(pace_of(model), shared_tokens=1, repeated_tokens=1, is_recorded=False)
    rows = torch.tensor(_KEPT, device=model.device)
    try:
        reader = reader_of(model, way, contexts, len(tokens), 0, pace)
        found = [reader.read_contexts()[rows]]
        found.append(_read(reader, tokens[0][[0, 0, 1, 2]])[rows])
        reader.keep(rows)
        found += [_read(reader, tokens_B) for tokens_B in tokens[1:]]
    except torch.OutOfMemoryError:
        raise
    except (TypeError, ValueError, AttributeError, NotImplementedError, RuntimeError) as error:
        return type(error).__name__  # a model without such a cache; another way is tried
    ours = torch.stack([head_logits(model, hidden_BD) for hidden_BD in found], dim=1)
    plain = torch.stack(
        [_plain(model, contexts[row], tokens[:, place]) for place, row in enumerate(_KEPT)]
    )
    room = room_for_rounding(plain, model.dtype)
    # Lost weights (NaN in both) are another fault, reported where the numbers are read.
    if torch.allclose(ours, plain, rtol=0.0, atol=room, equal_nan=True):
        return ""
    return f"logits are up to {float((ours - plain).abs().max()):.3g} off, of {room:.3g} allowed"


def _read(reader: Reader, tokens_B: Tensor) -> Tensor:
    reader.make_room()
    return reader.read(tokens_B)


def _plain(model: PreTrainedModel, context: Sequence[int], tokens: Tensor) -> Tensor:
    """Return the model's own logits [tokens + 1, V] behind a context, in one pass over one row."""
    row = [*context, *tokens.tolist()]
    output = model(torch.tensor([row], device=model.device), use_cache=False)
    return output.logits[0, len(context) - 1 :].float()  # type: ignore[no-any-return]
