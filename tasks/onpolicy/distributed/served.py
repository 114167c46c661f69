"""Several ranks that sample with vLLM servers: the weights go out first, and are compared after.

Shapes: N response tokens, D hidden size, V vocabulary.
"""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from tasks.model.log_probs import chosen_hidden, head_logits, token_log_probs
from tasks.onpolicy.distributed.sharding import gathered_head
from tasks.onpolicy.microbatch import idle_tokens
from tasks.platform.ranks import sum_over_ranks
from tasks.rollout.batch import rollout_batch
from tasks.rollout.collect import Rollout
from tasks.rollout.sampling.vllm.probe import most_shared
from tasks.rollout.sampling.vllm.sampler import refuse_gap
from tasks.rollout.settings import SamplingSettings


@torch.no_grad()
def refuse_other_policy(
    model: PreTrainedModel, rollouts: Sequence[Rollout], sampling: SamplingSettings
) -> None:
    """Compare the servers' log-probabilities with the policy's, on some rollouts. Collective.

    Each rank takes some of its own, those that begin as others do for longest: there a server's
    cache could hold another policy's states. A rank without a rollout joins with two tokens.

    Raises:
        VllmError: on all ranks, if they differ by more than the settings allow.
    """
    assert sampling.vllm is not None
    some = [rollouts[place] for place in most_shared([rollout.ids for rollout in rollouts])]
    some = [rollout for rollout in some if rollout.num_response_tokens]
    tokens = rollout_batch(some, pad_id=0) if some else idle_tokens(pad_id=0)
    tokens = tokens.to(model.device)
    was_training = model.training
    model.eval()
    hidden_ND = chosen_hidden(model, tokens)
    with gathered_head(model, hidden_ND.dtype):
        logits_NV = head_logits(model, hidden_ND, sampling.temperature)
    model.train(was_training)
    sums = {"gap": 0.0, "tokens": 0.0}
    if some:
        own_N = token_log_probs(logits_NV, tokens.tokens_N).cpu()
        served_N = torch.tensor([nats for rollout in some for nats in _sampled(rollout)])
        sums = {"gap": float((own_N - served_N).abs().sum()), "tokens": float(len(own_N))}
    total = sum_over_ranks(sums)
    if total["tokens"]:
        refuse_gap(total["gap"] / total["tokens"], sampling.vllm)


def _sampled(rollout: Rollout) -> list[float]:
    flags = zip(rollout.is_response, rollout.sampler_log_probs, strict=True)
    return [nats for written, nats in flags if written]
