"""What a measured step is made of: models, prompts, sizes. All of it comes from a seed.

Nothing ends early: no token stops a rollout, on either side, so all rollouts of a case have exactly
``new_tokens`` new tokens and the sides do equal work.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tasks.model.chat import ChatTokens
from tasks.model.settings import ScratchSettings
from tasks.rollout.environment import Grade, Message, Prompt, Turn
from tasks.sft.scratch import make_model, make_tokenizer

_FEW = 64
"""Number of prompts of a given length: making them takes a while."""
NEVER = -1
"""The id of an end token that no model can draw."""


@dataclass(frozen=True)
class Case:
    """One step's sizes. The defaults are the demo's: its model, 256 rollouts, its answers."""

    hidden_size: int = 128
    num_layers: int = 3
    num_heads: int = 4
    num_key_value_heads: int = 2
    head_size: int = 32
    feed_forward_size: int = 288
    vocabulary_size: int = 384
    rollouts: int = 256
    new_tokens: int = 24
    prompt_tokens: int = 0
    """Length of each prompt as the model reads it; 0 for short sums of unequal length."""
    responses_per_prompt: int = 1
    num_teachers: int = 1
    threads: int = 1
    device: str = "cpu"
    precision: str = "float32"
    """float32, or bfloat16: computed in bf16 over fp32 master weights."""
    learning_rate: float = 1e-4
    microbatch_tokens: int = 0
    """0 for the project's default."""
    lora_rank: int = 0
    """0 to train all weights."""
    checkpointing: bool = False
    """Whether activations are computed again in the backward pass."""
    seed: int = 0

    @property
    def domains(self) -> list[str]:
        """A domain for each teacher, and named like it."""
        return [f"domain-{place:02d}" for place in range(self.num_teachers)]

    def parameters(self) -> tuple[int, int]:
        """Return how many weights the layers hold, and how many the (tied) embedding."""
        heads = self.num_heads + self.num_key_value_heads
        attention = self.hidden_size * self.head_size * (heads + heads)
        layer = attention + 3 * self.hidden_size * self.feed_forward_size
        return self.num_layers * layer, self.hidden_size * self.vocabulary_size


class Graded:
    """An environment of one turn that finds every answer equally good; scoring costs nothing."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> None:
        """Never answer."""

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Return the same grade for each."""
        return Grade(1.0)


class Scene:
    """Tokenizer, prompts and models of a case."""

    def __init__(self, case: Case) -> None:
        """Draw the prompts; models are made on demand."""
        self.case = case
        torch.set_num_threads(case.threads)
        draw = random.Random(case.seed)
        count = _FEW if case.prompt_tokens else max(1024, case.rollouts)
        self.texts = [f"{_number(draw)}+{_number(draw)}=" for _ in range(count)]
        if case.prompt_tokens:
            self.texts = [self._lengthened(text, draw) for text in self.texts]

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """A byte-level tokenizer; a larger vocabulary has entries that it never writes."""
        return make_tokenizer(self.texts, 384)

    @cached_property
    def chat(self) -> ChatTokens:
        """Messages to tokens."""
        return ChatTokens(self.tokenizer)

    def _lengthened(self, text: str, draw: random.Random) -> str:
        """Return the text with further digits, so that its prompt has ``prompt_tokens`` tokens."""

        def length() -> int:
            return len(self.chat.prompt([{"role": "user", "content": text}]))

        while length() < self.case.prompt_tokens:
            text += str(draw.randrange(10))
        return text

    def model(self, seed: int) -> PreTrainedModel:
        """Return a model of the case's size with weights drawn from ``seed``."""
        case = self.case
        settings = ScratchSettings(
            vocabulary_size=case.vocabulary_size,
            hidden_size=case.hidden_size,
            num_layers=case.num_layers,
            num_heads=case.num_heads,
            num_key_value_heads=case.num_key_value_heads,
            head_size=case.head_size,
            feed_forward_size=case.feed_forward_size,
            max_positions=case.new_tokens + max(128, case.prompt_tokens),
            weight_deviation=0.06 if case.hidden_size <= 256 else 0.02,
        )
        with torch.device(case.device):  # drawn there: a processor takes minutes for a billion
            model = make_model(self.tokenizer, settings, seed)
            model.resize_token_embeddings(case.vocabulary_size, mean_resizing=False)
        model.generation_config.eos_token_id = None
        model.config.eos_token_id = None
        return model

    def student(self) -> PreTrainedModel:
        """Return the student as it begins."""
        return self.model(self.case.seed)

    def teacher(self, place: int = 0) -> PreTrainedModel:
        """Return one of the teachers, in the precision of computing."""
        model = self.model(self.case.seed + 1 + place)
        nn.Module.to(model, getattr(torch, self.case.precision))
        return model

    def prompts(self, domain: str) -> list[Prompt]:
        """Return the prompts of a domain: the same for each, as chat messages."""
        return [
            Prompt(f"{domain}-{place}", (Message("user", text),))
            for place, text in enumerate(self.texts)
        ]


def _number(draw: random.Random) -> int:
    return draw.randrange(10 ** draw.randrange(1, 6))
