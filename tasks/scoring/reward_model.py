"""A reward model: a policy's body with a scalar head, and its scores of responses.

It scores the episode as text, in the tokens that its training saw: those of the chat template, with
the end of the last turn. Scores are in the model's own units; only differences between responses to
one prompt have a meaning, and the zero is where the training put it (``reward_bias``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from lineage.artifacts import Artifact
from lineage.store.store import Store
from tasks.contracts.refusal import RefusedError, refuse_other_kind
from tasks.model.chat import ChatTokens, Tokens
from tasks.model.files import MAX_SHARD, load_tokenizer
from tasks.model.scalar_head import load_scalar_model
from tasks.platform.ranks import rank_device
from tasks.rollout.environment import Message, Prompt, Turn

REWARD_MODEL = "reward_model"
"""Kind of an artifact that holds one, and of the record that made it."""
_BIAS = "reward_bias"
"""Name in config.json of what is added to every score."""


@dataclass(frozen=True)
class RewardModel:
    """A model with a scalar head, and the tokenizer with the template that it was trained with."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def bias(self) -> float:
        """What is added to every score."""
        return float(getattr(self.model.config, _BIAS, 0.0))

    def shift(self, bias: float) -> None:
        """Set what is added to every score."""
        setattr(self.model.config, _BIAS, bias)

    def save(self, folder: Path) -> Path:
        """Write a normal Hugging Face folder and return it."""
        self.model.save_pretrained(folder, max_shard_size=MAX_SHARD)
        self.tokenizer.save_pretrained(folder)
        return folder


def load_reward_model(folder: Path) -> RewardModel:
    """Return the reward model of a folder that ``RewardModel.save`` wrote."""
    return RewardModel(load_scalar_model(folder), load_tokenizer(folder))


class Answered(Protocol):
    """A response to a prompt: a ``Rollout``, a ``ScoredResponse``."""

    @property
    def prompt(self) -> Prompt:
        """The prompt."""

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The model's turns and the environment's answers to them."""


class RewardModelScorer:
    """Scores responses by a reward model, several at a time."""

    def __init__(self, reward_model: RewardModel, batch_size: int = 16) -> None:
        """Score up to ``batch_size`` responses in a forward pass."""
        nn.Module.to(reward_model.model, rank_device())
        self._reward_model, self._batch_size = reward_model, batch_size
        self._model = reward_model.model.eval()
        self._chat = ChatTokens(reward_model.tokenizer)

    @classmethod
    def stored(cls, store: Store, artifact: Artifact, batch_size: int = 16) -> "RewardModelScorer":
        """Return a scorer by a reward model in the store.

        Raises:
            RefusedError: ``other-kind`` for an artifact that is not a reward model.
        """
        refuse_other_kind(artifact, REWARD_MODEL, "reward_model")
        return cls(load_reward_model(store.tree(artifact.digest)), batch_size)

    def score(self, responses: Sequence[Answered]) -> list[float]:
        """Return the score of each response, in order; one that was cut off counts as ended.

        Raises:
            RefusedError: ``response-too-long`` for more tokens than the model has positions.
        """
        return self.score_tokens(
            [
                episode_tokens(self._chat, r.prompt.messages, r.turns, r.prompt.mode)
                for r in responses
            ]
        )

    @torch.no_grad()
    def score_tokens(self, episodes: Sequence[Tokens]) -> list[float]:
        """Return the score of each tokenized episode, in order."""
        refuse_too_long(self._model, episodes, "response-too-long")
        # Of one length together: the padding of a batch is computed too.
        order = sorted(range(len(episodes)), key=lambda place: len(episodes[place].ids))
        scores = [0.0] * len(episodes)
        for first in range(0, len(order), self._batch_size):
            places = order[first : first + self._batch_size]
            batch = padded([episodes[place].ids for place in places], self._chat.pad_id)
            on_device = {name: tensor.to(self._model.device) for name, tensor in batch.items()}
            values = self._model(**on_device, use_cache=False).logits[:, 0].float().tolist()
            for place, value in zip(places, values, strict=True):
                scores[place] = value + self._reward_model.bias
        return scores


def episode_tokens(
    chat: ChatTokens, messages: Sequence[Message], turns: Sequence[Turn], mode: str
) -> Tokens:
    """Return the tokens of a prompt with a response, as reward models see them."""
    return chat.demonstration(
        [vars(message) for message in messages],
        [(turn.role, turn.content) for turn in turns],
        mode,
    )


def padded(rows: Sequence[Sequence[int]], pad_id: int) -> dict[str, torch.Tensor]:
    """Return rows, filled up at the right, as a batch with its attention mask."""
    return {
        "input_ids": filled(rows, pad_id),
        "attention_mask": filled([[1] * len(row) for row in rows], 0),
    }


def filled(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Return rows as one tensor, each filled up at the right to the length of the longest."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])


def refuse_too_long(model: PreTrainedModel, episodes: Sequence[Tokens], code: str) -> None:
    """Raise RefusedError for an episode with more tokens than the model has positions."""
    limit = getattr(model.config, "max_position_embeddings", None)
    longest = max((len(episode.ids) for episode in episodes), default=0)
    if limit is not None and longest > limit:
        raise RefusedError(
            code,
            f"an episode has {longest} tokens but the model takes {limit}: shorten or leave out "
            "the longest episodes, or use a model with more positions",
        )
