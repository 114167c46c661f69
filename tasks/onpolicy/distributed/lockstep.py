"""Rollouts that ranks read together through a sharded model, of which no rank holds the whole.

Shapes: L probed tokens of a rollout, D hidden size, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tasks.model.log_probs import chosen_hidden, head_logits
from tasks.onpolicy.distributed.sharding import gathered_head
from tasks.onpolicy.microbatch import idle_tokens
from tasks.platform.ranks import exchange_json
from tasks.rollout.batch import rollout_batch
from tasks.rollout.collect import Rollout


@dataclass(frozen=True)
class ProbedRollout:
    """The first response tokens of a rollout."""

    rollout: Rollout
    num_tokens: int


@torch.no_grad()
def probed_logits(
    model: PreTrainedModel, probes: Sequence[ProbedRollout], temperature: float, pad_id: int
) -> list[Tensor]:
    """Return the model's logits [L, V] of this rank's probes, in fp32. Collective.

    Each rank has probes of its own. The body reads one rollout at a time, layer by layer, and the
    head is gathered once for all of them. A rank with fewer probes joins with two tokens.
    """
    passes = max(int(str(count)) for count in exchange_json(len(probes)))
    hidden: list[Tensor] = []
    for place in range(passes):
        own = probes[place] if place < len(probes) else None
        tokens = rollout_batch([own.rollout], pad_id) if own is not None else idle_tokens(pad_id)
        hidden_ND = chosen_hidden(model, tokens.to(model.device))
        hidden.append(hidden_ND[: own.num_tokens if own is not None else 0])
    if not hidden:
        return []
    with gathered_head(model, hidden[0].dtype):
        return [head_logits(model, hidden_LD, temperature) for hidden_LD in hidden[: len(probes)]]
