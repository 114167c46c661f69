"""Whether a model keeps the documents of a row apart, tried on it before it trains.

Attention in transformers reads the borders of documents from the positions. Layers with a state,
such as those of Mamba or of linear attention, mostly do not, and say nothing.
"""

import torch
from transformers import PreTrainedModel

from tasks.contracts.refusal import RefusedError

_NUM_TOKENS = 6
_LARGEST = 0.05
"""Greatest part of another document's influence that may be left; rounding leaves far less."""


@torch.no_grad()
def refuse_without_isolation(model: PreTrainedModel) -> None:
    """Refuse a model in which a document sees those before it in its row.

    Raises:
        RefusedError: ``not-isolated``.
    """
    first, second = torch.arange(2 * _NUM_TOKENS, device=model.device).view(2, 1, -1)
    row = torch.cat([first, second], dim=1)
    positions = torch.arange(_NUM_TOKENS, device=model.device).repeat(1, 2)
    alone = model(input_ids=second, use_cache=False).logits
    as_one, isolated = (
        model(input_ids=row, use_cache=False, **given).logits[:, _NUM_TOKENS:]
        for given in ({}, {"position_ids": positions})
    )
    influence, left = ((logits - alone).abs().max() for logits in (as_one, isolated))
    if left > _LARGEST * influence:
        raise RefusedError(
            "not-isolated",
            f"{type(model).__name__} sees the documents before one in its row, although positions "
            "start anew: set isolated to false, or take a model of attention alone",
        )
