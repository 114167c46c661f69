"""Logits of a causal LM at chosen tokens, and nothing else of the [sequence, vocabulary] block.

Shapes: B sequences, S tokens of the padded sequence, N chosen tokens of the whole batch, V
vocabulary, D hidden size. Log-probabilities are in nats.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel


@dataclass(frozen=True)
class TokenBatch:
    """Right-padded sequences and the tokens in them whose prediction matters."""

    ids_BS: Tensor
    attention_BS: Tensor
    rows_N: Tensor
    """The sequence of each chosen token."""
    columns_N: Tensor
    """The place of each chosen token; the logits that predict it stand one to the left."""

    @property
    def tokens_N(self) -> Tensor:
        """Ids of the chosen tokens."""
        return self.ids_BS[self.rows_N, self.columns_N]


def pad_right(
    ids: Sequence[Sequence[int]], chosen: Sequence[Sequence[bool]], pad_id: int
) -> TokenBatch:
    """Pad sequences to the longest and list the chosen tokens in order of row and column."""
    longest = max(len(row) for row in ids)
    ids_BS = torch.full((len(ids), longest), pad_id, dtype=torch.long)
    attention_BS = torch.zeros((len(ids), longest), dtype=torch.long)
    chosen_BS = torch.zeros((len(ids), longest), dtype=torch.bool)
    for row, (tokens, flags) in enumerate(zip(ids, chosen, strict=True)):
        ids_BS[row, : len(tokens)] = torch.tensor(tokens)
        attention_BS[row, : len(tokens)] = 1
        chosen_BS[row, : len(flags)] = torch.tensor(flags)
    if bool(chosen_BS[:, 0].any()):
        raise ValueError("the first token of a sequence has no prediction: choose later tokens")
    rows_N, columns_N = chosen_BS.nonzero(as_tuple=True)
    return TokenBatch(ids_BS, attention_BS, rows_N, columns_N)


def chosen_logits(model: PreTrainedModel, batch: TokenBatch, temperature: float = 1.0) -> Tensor:
    """Return the logits [N, V] that predict the chosen tokens, divided by the temperature.

    The output head runs on the N chosen positions alone; a prompt's tokens cost no [S, V] block.
    """
    hidden_BSD = model.base_model(
        input_ids=batch.ids_BS, attention_mask=batch.attention_BS, use_cache=False
    ).last_hidden_state
    hidden_ND = hidden_BSD[batch.rows_N, batch.columns_N - 1]
    head = model.get_output_embeddings()
    return head(hidden_ND).float() / temperature  # type: ignore[no-any-return]


def token_log_probs(logits_NV: Tensor, tokens_N: Tensor) -> Tensor:
    """Return log p of each token [N] under its logits."""
    return torch.log_softmax(logits_NV, dim=-1).gather(-1, tokens_N[:, None]).squeeze(-1)
