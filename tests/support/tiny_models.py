"""A tiny model, its tokenizer and rollouts written by hand, for the tests of whatever learns."""

import atexit
import copy
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from tasks.model.files import Policy, save_policy
from tasks.model.kernels.norms import write_norms_by_hand
from tasks.model.settings import ScratchSettings
from tasks.rollout.collect import Rollout
from tasks.rollout.environment import Grade, Message, Prompt
from tasks.sft.scratch import CHAT_TEMPLATE, make_model, make_tokenizer

torch.set_num_threads(1)

SIZES = ScratchSettings(
    vocabulary_size=280,
    hidden_size=16,
    num_layers=2,
    num_heads=2,
    num_key_value_heads=1,
    head_size=8,
    feed_forward_size=32,
    max_positions=96,
    weight_deviation=0.3,  # far from uniform, so that a wrong token or place shows
)


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """Return the shared tokenizer; whoever changes one takes ``with_template`` instead."""
    return with_template(CHAT_TEMPLATE)


def with_template(template: str | None) -> PreTrainedTokenizerFast:
    """Return a tokenizer of one's own with this chat template."""
    made = make_tokenizer(["fox owl 12+34=46 system user assistant tool\n"] * 9, 280)
    made.chat_template = template
    return made


def tiny_model(seed: int = 0, **changed: object) -> Qwen3ForCausalLM:
    """Return a model of about ten thousand parameters, ready to be sampled from.

    Its norms are those of whatever learns, so that what is the same is the same bit by bit.
    """
    model, random_state = _made(seed, tuple(changed.items()))
    torch.set_rng_state(random_state)
    return copy.deepcopy(model)  # which takes half as long


@cache
def _made(
    seed: int, changed: tuple[tuple[str, object], ...]
) -> tuple[Qwen3ForCausalLM, torch.Tensor]:
    """Return a model, and torch's random numbers as they are after it was made."""
    model = make_model(tokenizer(), SIZES.model_copy(update=dict(changed)), seed).eval()
    write_norms_by_hand(model)
    return model, torch.get_rng_state()


def tiny_policy(seed: int = 0) -> Policy:
    """Return a tiny model with the shared tokenizer."""
    return Policy(tiny_model(seed), tokenizer())


@cache
def saved_policy(seed: int = 0) -> Path:
    """Return the folder of a tiny policy, which all tests of this process read."""
    folder = Path(tempfile.mkdtemp(prefix="tiny-policy-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return save_policy(tiny_policy(seed), folder)


def rollout(
    ids: Sequence[int],
    responses: Sequence[int],
    *,
    domain: str = "math",
    prompt: str = "p",
    score: float = 0.0,
    log_probs: Sequence[float] | None = None,
) -> Rollout:
    """Return a rollout of these ids; ``responses`` are the places that the policy wrote.

    ``log_probs`` are the sampler's for the responses, in order; -1 nat each unless given.
    """
    given = dict(zip(responses, log_probs or [-1.0] * len(responses), strict=True))
    return Rollout(
        domain=domain,
        prompt=Prompt(prompt, (Message("user", "?"),)),
        turns=(),
        grade=Grade(score),
        ids=tuple(ids),
        is_response=tuple(place in given for place in range(len(ids))),
        sampler_log_probs=tuple(given.get(place, 0.0) for place in range(len(ids))),
        truncated=False,
    )
