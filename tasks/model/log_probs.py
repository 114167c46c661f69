"""Logits of a causal LM at chosen tokens, without the rest of the [sequence, vocabulary] block.

Shapes: B sequences, S tokens of the padded sequence, N chosen tokens of the whole batch, V
vocabulary, D hidden size. Log-probabilities are in nats.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from tasks.contracts.refusal import RefusedError
from tasks.model.architecture import body_of, vocabulary_size
from tasks.model.images import Pixels, embedded
from tasks.model.kernels.shared_prefixes import PrefixRun, shared_runs, tokens_read
from tasks.model.kernels.unread_tokens import last_mlp_only_at, packed_hidden, packing_of

# cuDNN's attention makes a plan for each new shape of a batch, and hardly two batches of rollouts
# have one: on an H200 steps with new lengths took three times as long as with torch's own kernels,
# which are as fast in a shape that is known. For the whole process, because a checkpointed layer
# runs again in the backward pass.
torch.backends.cuda.enable_cudnn_sdp(enabled=False)


@dataclass(frozen=True)
class TokenBatch:
    """Right-padded sequences, with the tokens that are predicted."""

    ids_BS: Tensor
    rows_N: Tensor
    """The sequence of each chosen token."""
    columns_N: Tensor
    """The column of each chosen token; the logits that predict it are one column to the left."""
    lengths: tuple[int, ...] = ()
    """Number of tokens of each sequence, without padding; () where none is padded."""
    runs: tuple[PrefixRun, ...] = ()
    """Neighboring sequences that begin alike, before the first token that predicts a chosen one; ()
    where no token is shared."""
    pixels_B: Pixels = ()
    """Pixels of each sequence's images; () without any."""

    @property
    def num_read(self) -> int:
        """Number of tokens that a model reads, if it reads shared tokens once."""
        return tokens_read(self.ids_BS.shape[1] - 1, self.lengths_read, self.runs)

    @property
    def lengths_read(self) -> tuple[int, ...]:
        """Number of tokens that are read of each sequence: its last predicts nothing."""
        num_rows, length = self.ids_BS.shape
        return tuple(max(1, size - 1) for size in self.lengths or (length,) * num_rows)

    @property
    def tokens_N(self) -> Tensor:
        """Ids of the chosen tokens."""
        return self.ids_BS[self.rows_N, self.columns_N]

    def to(self, device: torch.device) -> "TokenBatch":
        """Return the same batch on a device."""
        return replace(
            self,
            ids_BS=sent(self.ids_BS, device),
            rows_N=sent(self.rows_N, device),
            columns_N=sent(self.columns_N, device),
            pixels_B=tuple(None if p is None else sent(p, device) for p in self.pixels_B),
        )


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device. The host does not wait for the work that is queued there."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def pad_right(
    ids: Sequence[Sequence[int]],
    chosen: Sequence[Sequence[bool]],
    pad_id: int,
    pixels: Sequence[Tensor | None] = (),
) -> TokenBatch:
    """Pad sequences to the longest and list the chosen tokens in order of row and column.

    Sequences with ``pixels`` share no beginning: equal tokens may stand for different images.
    """
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
    lengths = tuple(len(row) for row in ids)
    if any(each is not None for each in pixels):
        return TokenBatch(ids_BS, rows_N, columns_N, lengths, pixels_B=tuple(pixels))
    # The token before the first chosen one predicts it, so each sequence reads that itself.
    limits_B = [row.index(True) - 1 if any(row) else len(row) - 1 for row in map(list, chosen)]
    return TokenBatch(ids_BS, rows_N, columns_N, lengths, shared_runs(ids_BS, limits_B))


def chosen_hidden(model: PreTrainedModel, batch: TokenBatch) -> Tensor:
    """Return the last layer's hidden states [N, D] that predict the chosen tokens.

    Padding is to the right of every token, where causal attention does not look, so attention needs
    no mask and takes its fastest path. The results at padding are not used, nor computed where the
    model can be packed. Shared prefixes are computed once. A sequence's last token is left out,
    because it predicts nothing.
    """
    ids_BS, columns_N = batch.ids_BS[:, :-1], batch.columns_N - 1
    packing = None if batch.pixels_B else packing_of(model, ids_BS, batch.lengths_read, batch.runs)
    if packing is not None:
        places_N = packing.places(batch.rows_N, columns_N)
    else:
        places_N = batch.rows_N * ids_BS.shape[1] + columns_N
    with last_mlp_only_at(model, places_N):
        if packing is not None:
            hidden_BSD = packed_hidden(model, ids_BS, packing)
        elif batch.pixels_B:
            embeddings_BSD = embedded(model, ids_BS, batch.pixels_B)
            output = body_of(model)(inputs_embeds=embeddings_BSD, use_cache=False)
            hidden_BSD = output.last_hidden_state
        else:
            hidden_BSD = body_of(model)(input_ids=ids_BS, use_cache=False).last_hidden_state
    return hidden_BSD.flatten(0, 1).index_select(0, places_N)


def head_logits(model: PreTrainedModel, hidden_ND: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the logits [N, V] of hidden states [N, D], in fp32, divided by the temperature."""
    logits_NV: Tensor = model.get_output_embeddings()(hidden_ND)
    logits_NV = _behind_head(logits_NV, model.config.get_text_config(decoder=True)).float()
    # A division by 1 changes nothing, and is a pass over [N, V], forward and backward.
    return logits_NV if temperature == 1.0 else logits_NV / temperature


def chosen_logits(model: PreTrainedModel, batch: TokenBatch, temperature: float = 1.0) -> Tensor:
    """Return the logits [N, V] that predict the chosen tokens, divided by the temperature.

    The output head runs only on the N chosen positions, so a prompt's tokens cost no [S, V] block.
    """
    return head_logits(model, chosen_hidden(model, batch), temperature)


LOGIT_BYTES, LOGIT_BYTES_ON_GPU = 128 << 20, 1 << 30
"""The fp32 logits [C, V] of one chunk of tokens; the largest block that exists of them. Each chunk
adds a gradient of the whole head, which costs a GPU as much as hundreds of tokens."""


def chunk_tokens(vocabulary_size: int, *, on_gpu: bool) -> int:
    """Return the number of tokens whose logits exist at the same time."""
    return max(1, (LOGIT_BYTES_ON_GPU if on_gpu else LOGIT_BYTES) // (4 * vocabulary_size))


def chunks(hidden_ND: Tensor, vocabulary_size: int) -> Iterator[slice]:
    """Yield the chunks of tokens whose logits exist at the same time."""
    width = chunk_tokens(vocabulary_size, on_gpu=hidden_ND.device.type != "cpu")
    for first in range(0, len(hidden_ND), width):
        yield slice(first, min(first + width, len(hidden_ND)))


@torch.no_grad()
def hidden_log_probs(
    model: PreTrainedModel, hidden_ND: Tensor, tokens_N: Tensor, temperature: float = 1.0
) -> Tensor:
    """Return log p of each token [N] from the hidden states that predict it."""
    own_N = torch.zeros(len(hidden_ND), device=hidden_ND.device)
    for chunk in chunks(hidden_ND, vocabulary_size(model)):
        logits_CV = head_logits(model, hidden_ND[chunk], temperature)
        own_N[chunk] = token_log_probs(logits_CV, tokens_N[chunk])
    return own_N


def _behind_head(logits_NV: Tensor, config: PretrainedConfig) -> Tensor:
    """Apply the changes that some architectures make to logits after the output head.

    Granite divides, Cohere and Falcon-H1 multiply, Gemma 2, RecurrentGemma and xLSTM cap softly.
    """
    divisor = getattr(config, "logits_scaling", None)
    factor = getattr(config, "logit_scale", None)
    caps = (getattr(config, name, None) for name in _CAPS)
    cap = next((each for each in caps if each is not None), None)
    if divisor is not None:
        logits_NV = logits_NV / divisor
    if factor is not None:
        logits_NV = logits_NV * factor
    if cap is not None:
        logits_NV = torch.tanh(logits_NV / cap) * cap
    return logits_NV


_CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
"""Names of a cap on logits in the configs of families."""
_ROUGH = 0.08
"""Share of the largest logit by which rounding in bf16 may move any."""


def room_for_rounding(logits: Tensor, dtype: torch.dtype) -> float:
    """Return how far two ways to the same logits may differ, in a model of this precision.

    In bf16 the kernels of a GPU round by the shape of a pass: with 2 % of the largest logit a
    Qwen3 of 1.7 B random weights did not pass on an H200. SmolLM2-135M is 3 % from itself in fp32,
    and random weights in 28 layers up to 5 %. Ways that are wrong are 15 % off or more, but for
    two architectures that are 0.3 % off, which only fp32 shows.
    """
    share = 1e-4 if dtype in (torch.float32, torch.float64) else _ROUGH
    return share * max(1.0, float(logits.abs().nan_to_num(posinf=0.0).max()))


def tried_ids(numbers: Sequence[int], size: int) -> list[int]:
    """Return ids that are spread over a vocabulary of ``size``, equal where ``numbers`` are.

    The first ids of a tokenizer are control tokens. Rows of them alone, which no text holds, can
    magnify rounding a hundredfold: 4e-3 in a logit of SmolLM2-135M in fp32, beside 6e-5.
    """
    spread = max(1, size // _SPREAD)
    return [number * spread % size for number in numbers]


@torch.no_grad()
def refuse_other_logits(model: PreTrainedModel) -> None:
    """Raise ValueError for an architecture with logits other than those computed here.

    Rows of unequal length that share a beginning go through every fast path. The head's output is
    scaled to a size at which a cap on the logits would show.
    """
    size = model.config.get_text_config(decoder=True).vocab_size
    rows = [tried_ids(row, size) for row in _TRIED]
    chosen = [[False] * 3 + [True] * (len(row) - 3) for row in rows]
    batch = pad_right(rows, chosen, pad_id=0).to(model.device)
    was_training = model.training
    model.eval()
    with _loud_head(model):
        own = [model(torch.tensor([row], device=model.device)).logits[0, 2:-1] for row in rows]
        own_NV, ours_NV = torch.cat(own).float(), chosen_logits(model, batch)
    model.train(was_training)
    room = room_for_rounding(own_NV, model.dtype)
    # Lost weights (NaN in both) are another fault, reported where the numbers are read.
    if not torch.allclose(own_NV, ours_NV, rtol=0.0, atol=room, equal_nan=True):
        raise RefusedError(
            "unknown-logits",
            f"{type(model).__name__} changes its logits after the output head in an unknown way, "
            "so every log-probability would be wrong: add it to tasks/model/log_probs.py",
        )


_TRIED = ((1, 2, 3, 4, 5), (1, 2, 3, 6, 7, 8), (1, 2, 3, 4, 6))
_SPREAD = 12
"""More than the largest number in a tried row."""
_LOUD = 60.0
"""Size of the largest logit while a model is tried; architectures cap at 30 or 50."""


@contextmanager
def _loud_head(model: PreTrainedModel) -> Iterator[None]:
    """Scale the output head's results to ``_LOUD`` within the context."""
    factors: list[float] = []

    def scaled(_head: nn.Module, _inputs: object, logits: Tensor) -> Tensor:
        if not factors:
            largest = float(logits.abs().nan_to_num(posinf=0.0).max())
            factors.append(_LOUD / largest if largest > 0 else 1.0)
        return logits * factors[0]

    handle = model.get_output_embeddings().register_forward_hook(scaled)
    try:
        yield
    finally:
        handle.remove()


def token_log_probs(logits_NV: Tensor, tokens_N: Tensor) -> Tensor:
    """Return log p of each token [N] under its logits."""
    return torch.log_softmax(logits_NV, dim=-1).gather(-1, tokens_N[:, None]).squeeze(-1)
