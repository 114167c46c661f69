"""Samples one model turn for a batch of contexts with a Hugging Face model in this process.

Noise is drawn for every row before anything is sampled, one uniform number a token, so a row's text
depends on its own context and noise and not on who shares its batch.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tasks.contracts.refusal import RefusedError
from tasks.model.architecture import positions_in
from tasks.model.kernels.cpu import one_token_attention
from tasks.rollout.sampling.sampler import ModelTurn
from tasks.rollout.sampling.transformers.pace import pace_of
from tasks.rollout.sampling.transformers.readers import Padded, Reader
from tasks.rollout.sampling.transformers.verified import Way, reader_of, refuse_unpadded, way_of
from tasks.rollout.sampling.transformers.writing import Writing
from tasks.rollout.settings import SamplingSettings


class TransformersSampler:
    """Samples with a Hugging Face model in this process."""

    def __init__(
        self,
        model: PreTrainedModel,
        end_id: int,
        pad_id: int,
        settings: SamplingSettings,
        other_ends: Collection[int] = (),
    ) -> None:
        """Take the model as it is; its weights may change between calls.

        A turn ends with ``end_id``, or with one of ``other_ends``.
        """
        self._model, self._ends, self._pad_id = model, {end_id, *other_ends}, pad_id
        self._settings = settings

    # Nothing of a call outlives it, so nothing that learns meets a tensor without gradients.
    @torch.inference_mode()
    def sample(
        self,
        contexts: Sequence[Sequence[int]],
        noise: Tensor,
        pixels: Sequence[Tensor | None] = (),
    ) -> list[ModelTurn]:
        """Return one turn for each context, in the order of the contexts.

        Raises:
            ValueError: if a context and its turn do not fit into the model's positions.
            FloatingPointError: if the model's logits are not finite.
        """
        self._refuse_too_long(contexts)
        was_training = self._model.training
        self._model.eval()
        try:
            with one_token_attention(self._model):
                return self._sample(contexts, noise, pixels)
        finally:
            self._model.train(was_training)

    def _sample(
        self, contexts: Sequence[Sequence[int]], noise: Tensor, pixels: Sequence[Tensor | None]
    ) -> list[ModelTurn]:
        # By length for little padding, and like next to like.
        order = sorted(range(len(contexts)), key=lambda at: (len(contexts[at]), *contexts[at]))
        most = self._settings.max_new_tokens
        ordered = [contexts[place] for place in order]
        # A turn's last token is not run: nothing comes after it.
        num_read = most - 1
        pace = pace_of(self._model)
        if pixels:
            refuse_unpadded(self._model)
            pace = replace(pace, is_recorded=False)
            own = [pixels[place] for place in order]
            reader: Reader = Padded(self._model, ordered, self._pad_id, own)
        else:
            way = way_of(self._model, len(ordered[-1]) + num_read)
            pace = replace(pace, is_recorded=pace.is_recorded and way is Way.COLUMNS)
            reader = reader_of(self._model, way, ordered, num_read, self._pad_id, pace)
        writing = Writing(
            self._model, reader, noise[order, :most], self._ends, self._settings.temperature
        )
        written = writing.run(pace)
        turns = {order[place]: self._turn(*line) for place, line in written.items()}
        return [turns[place] for place in range(len(contexts))]

    def _turn(self, ids: list[int], log_probs: list[float]) -> ModelTurn:
        places = [place for place, token in enumerate(ids) if token in self._ends]
        ended, length = bool(places), places[0] + 1 if places else len(ids)
        if not all(map(math.isfinite, log_probs[:length])):
            raise FloatingPointError(
                "the policy's logits are not finite, because its weights hold NaN or infinity: "
                "find the step at which the gradient norm jumped, and lower the learning rate or "
                "the clip"
            )
        return ModelTurn(tuple(ids[:length]), tuple(log_probs[:length]), ended)

    def _refuse_too_long(self, contexts: Sequence[Sequence[int]]) -> None:
        limit = positions_in(self._model.config)
        longest = max(len(context) for context in contexts)
        if limit is not None and longest + self._settings.max_new_tokens > limit:
            raise RefusedError(
                "context-too-long",
                f"a context of {longest} tokens and {self._settings.max_new_tokens} new ones do "
                f"not fit into the model's {limit} positions: shorten the prompt or lower "
                "max_new_tokens",
            )
