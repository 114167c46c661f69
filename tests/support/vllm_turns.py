"""What the engine tests sample with vLLM, and how far it is from the policy itself."""

import torch

from tasks.model.chat import ChatTokens
from tasks.model.log_probs import chosen_logits, pad_right, token_log_probs
from tasks.rollout.sampling.vllm.sampler import VllmSampler
from tasks.rollout.settings import SamplingEngine, SamplingSettings

TOKENS = 12
PREFIX = list(range(20, 84))
"""Two blocks of vLLM's cache, with which each context begins."""
CONTEXTS = [
    [*PREFIX[: 64 - shorter], *range(100, 105 + shorter)] for shorter in (0, 1, 2, 0, 5, 63)
]


def sampling(server, weights, temperature=1.0, max_new_tokens=TOKENS, **changed):
    """Return settings of the engine for a server."""
    return SamplingSettings(
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        engine=SamplingEngine.VLLM,
        vllm=server.settings(weights, **changed),
    )


def sampler(policy, settings, other_ends=()):
    """Return a sampler of a policy."""
    end = ChatTokens(policy.tokenizer).end_id
    return VllmSampler(policy.model, end, settings, other_ends)


def noise_for(count=6, seed=0):
    """Return uniform noise for so many rows."""
    return torch.rand(count, TOKENS, generator=torch.Generator().manual_seed(seed))


def text(turns):
    """Return the ids of turns."""
    return [turn.ids for turn in turns]


@torch.no_grad()
def gaps(policy, contexts, turns, temperature=1.0):
    """Return how far each sampled token's log-probability is from the policy's, in nats."""
    pairs = list(zip(contexts, turns, strict=True))
    ids = [[*context, *turn.ids] for context, turn in pairs]
    flags = [[False] * len(context) + [True] * len(turn.ids) for context, turn in pairs]
    batch = pad_right(ids, flags, ChatTokens(policy.tokenizer).pad_id)
    own = token_log_probs(chosen_logits(policy.model, batch, temperature), batch.tokens_N)
    served = torch.tensor([nats for turn in turns for nats in turn.log_probs])
    return (own - served).abs()
