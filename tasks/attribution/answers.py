"""What a model answers to prompts: its first turns, drawn with noise that models can share.

Shapes: R prompts, T tokens of a turn.
"""

from collections.abc import Sequence

import torch

from tasks.attribution.behaviour import Said
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy
from tasks.rollout.sampler_engine import make_sampler
from tasks.rollout.settings import SamplingEngine, SamplingSettings

Messages = tuple[Said, ...]


def first_turns(
    policy: Policy, prompts: Sequence[Messages], sampling: SamplingSettings, seed: int
) -> list[str | None]:
    """Return what a policy says first to each prompt; None where nothing can be asked about it.

    That is a turn that never ended, is empty, or has a text that other tokens spell too. The same
    seed gives every model the same noise at the same prompt.
    """
    chat = ChatTokens(policy.tokenizer)
    own = {"engine": SamplingEngine.TRANSFORMERS, "vllm": None}
    settings = sampling.model_copy(update=own)
    generator = torch.Generator().manual_seed(seed)
    noise_RT = torch.rand(settings.max_new_tokens, len(prompts), generator=generator).T
    contexts = [chat.prompt([said.model_dump() for said in prompt]) for prompt in prompts]
    turns = make_sampler(policy, chat, settings).sample(contexts, noise_RT)
    found: list[str | None] = []
    for turn in turns:
        text = chat.decode(turn.ids)
        usable = turn.ended and text and chat.answer(text) == list(turn.ids)
        found.append(text if usable else None)
    return found
