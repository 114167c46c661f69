"""Logits of a causal LM at chosen tokens, without the rest of the [sequence, vocabulary] block.

Shapes: B sequences, S tokens of the padded sequence, N chosen tokens of the whole batch, V
vocabulary, D hidden size. Log-probabilities are in nats.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from tasks.contracts.refusal import RefusedError
from tasks.model.kernels.last_layer import last_mlp_only_at
from tasks.model.kernels.shared_beginning import packed_hidden, packing_of


@dataclass(frozen=True)
class TokenBatch:
    """Right-padded sequences, with the tokens that are predicted."""

    ids_BS: Tensor
    rows_N: Tensor
    """The sequence of each chosen token."""
    columns_N: Tensor
    """The column of each chosen token; the logits that predict it are one column to the left."""
    num_shared: int = 0
    """How many tokens all sequences begin with, before the first that predicts a chosen one."""

    @property
    def tokens_N(self) -> Tensor:
        """Ids of the chosen tokens."""
        return self.ids_BS[self.rows_N, self.columns_N]

    def to(self, device: torch.device) -> "TokenBatch":
        """Return the same batch on a device."""
        return replace(
            self,
            ids_BS=self.ids_BS.to(device),
            rows_N=self.rows_N.to(device),
            columns_N=self.columns_N.to(device),
        )


def pad_right(
    ids: Sequence[Sequence[int]], chosen: Sequence[Sequence[bool]], pad_id: int
) -> TokenBatch:
    """Pad sequences to the longest and list the chosen tokens in order of row and column."""
    longest = max(len(row) for row in ids)
    # One tensor of lists that are filled up: a tensor for each row takes five times as long.
    ids_BS = torch.tensor([[*r, *[pad_id] * (longest - len(r))] for r in ids], dtype=torch.long)
    chosen_BS = torch.tensor(
        [[*r, *[False] * (longest - len(r))] for r in chosen], dtype=torch.bool
    )
    if bool(chosen_BS[:, 0].any()):
        raise RefusedError(
            "first-token", "the first token of a sequence has no prediction: choose later tokens"
        )
    rows_N, columns_N = chosen_BS.nonzero(as_tuple=True)
    alike = int((ids_BS == ids_BS[0]).all(0).cumprod(0).sum())
    first = int(columns_N.min()) - 1 if len(columns_N) else alike
    return TokenBatch(ids_BS, rows_N, columns_N, min(alike, first))


def chosen_hidden(model: PreTrainedModel, batch: TokenBatch) -> Tensor:
    """Return the last layer's hidden states [N, D] that predict the chosen tokens.

    Padding is to the right of every token, where causal attention does not look, so attention needs
    no mask and takes its fastest path. The results at padding are not used. A shared prefix is
    computed once, and the last column is left out, because it predicts nothing.
    """
    ids_BS, columns_N = batch.ids_BS[:, :-1], batch.columns_N - 1
    packing = packing_of(model, ids_BS, batch.num_shared)
    if packing is not None:
        places_N = packing.places(batch.rows_N, columns_N)
    else:
        places_N = batch.rows_N * ids_BS.shape[1] + columns_N
    with last_mlp_only_at(model, places_N):
        hidden_BSD = (
            packed_hidden(model, ids_BS, packing)
            if packing is not None
            else model.base_model(input_ids=ids_BS, use_cache=False).last_hidden_state
        )
    return hidden_BSD.flatten(0, 1).index_select(0, places_N)


def head_logits(model: PreTrainedModel, hidden_ND: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the logits [N, V] of hidden states [N, D], in fp32, divided by the temperature."""
    logits_NV: Tensor = model.get_output_embeddings()(hidden_ND)
    return _behind_head(logits_NV, model.config).float() / temperature


def chosen_logits(model: PreTrainedModel, batch: TokenBatch, temperature: float = 1.0) -> Tensor:
    """Return the logits [N, V] that predict the chosen tokens, divided by the temperature.

    The output head runs only on the N chosen positions, so a prompt's tokens cost no [S, V] block.
    """
    return head_logits(model, chosen_hidden(model, batch), temperature)


def _behind_head(logits_NV: Tensor, config: PretrainedConfig) -> Tensor:
    """Apply the changes that some architectures make to logits after the output head.

    Granite divides, Cohere multiplies, Gemma 2 caps softly.
    """
    divisor = getattr(config, "logits_scaling", None)
    factor = getattr(config, "logit_scale", None)
    cap = getattr(config, "final_logit_softcapping", None)
    if divisor is not None:
        logits_NV = logits_NV / divisor
    if factor is not None:
        logits_NV = logits_NV * factor
    if cap is not None:
        logits_NV = torch.tanh(logits_NV / cap) * cap
    return logits_NV


@torch.no_grad()
def refuse_other_logits(model: PreTrainedModel) -> None:
    """Raise ValueError for an architecture with logits other than those computed here."""
    ids_BS = torch.tensor([[1, 2, 3]], device=model.device) % model.config.vocab_size
    rows_N, columns_N = torch.zeros(2, dtype=torch.long), torch.tensor([1, 2])
    batch = TokenBatch(ids_BS, rows_N, columns_N)
    was_training = model.training
    model.eval()
    own_NV, ours_NV = model(ids_BS).logits[0, :2].float(), chosen_logits(model, batch)
    model.train(was_training)
    # Lost weights (NaN in both) are another fault, reported where the numbers are read.
    if not torch.allclose(own_NV, ours_NV, rtol=1e-2, atol=1e-2, equal_nan=True):
        raise RefusedError(
            "unknown-logits",
            f"{type(model).__name__} changes its logits after the output head in an unknown way, "
            "so every log-probability would be wrong: add it to tasks/model/log_probs.py",
        )


def token_log_probs(logits_NV: Tensor, tokens_N: Tensor) -> Tensor:
    """Return log p of each token [N] under its logits."""
    return torch.log_softmax(logits_NV, dim=-1).gather(-1, tokens_N[:, None]).squeeze(-1)
