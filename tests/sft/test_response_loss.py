"""The loss of learned tokens, by hand."""

import pytest
import torch

from tasks.model.kernels.shared_prefixes import PrefixRun
from tasks.model.log_probs import chosen_hidden
from tasks.sft.response_loss import learned, weighted_loss, weights_of
from tasks.sft.settings import LossMean
from tests.support.tiny_models import SIZES, tiny_model

LABELS = torch.tensor([[-100, -100, 4, 5], [-100, 8, -100, -100], [-100, -100, -100, -100]])
INPUTS = {
    "input_ids": torch.tensor([[3, 6, 4, 5], [3, 8, 0, 0], [1, 2, 3, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]]),
    "labels": LABELS,
}
"""Rows with two learned tokens, one, and none."""


def test_a_row_without_a_learned_token_does_not_count_in_the_mean_over_rows():
    batch = learned(INPUTS, shares_prefixes=True)
    # In the order of their ids: the row without a learned token, then 3 6 4 5, then 3 8.
    assert batch.tokens_N.tolist() == [4, 5, 8]
    assert weights_of(batch, LossMean.ROWS).tolist() == [0.25, 0.25, 0.5]
    assert weights_of(batch, LossMean.TOKENS).tolist() == pytest.approx([1 / 3] * 3)


def test_rows_share_what_they_begin_with_but_not_the_noise_of_dropout():
    rows = {"input_ids": torch.tensor([[3, 3, 3, 6, 4], [3, 3, 3, 6, 5]])}
    rows["labels"] = torch.tensor([[-100] * 4 + [4], [-100] * 4 + [5]])
    rows["attention_mask"] = torch.ones(2, 5, dtype=torch.long)
    assert learned(rows, shares_prefixes=True).runs == (PrefixRun(2, 3),)
    assert learned(rows, shares_prefixes=False).runs == ()


def test_the_loss_and_its_gradients_are_the_same_in_chunks(monkeypatch):
    batch = learned(INPUTS, shares_prefixes=True)
    found = []
    for width in (1 << 20, 2 * 4 * SIZES.vocabulary_size):  # one chunk, and two tokens to a chunk
        monkeypatch.setattr("tasks.model.log_probs.LOGIT_BYTES", width)
        model = tiny_model()
        hidden_ND = chosen_hidden(model, batch)
        loss = weighted_loss(model, hidden_ND, batch.tokens_N, torch.tensor([0.25, 0.25, 0.5]))
        loss.backward()
        found.append((loss, [parameter.grad for parameter in model.parameters()]))
    torch.testing.assert_close(*found)
    log_probs = tiny_model()(INPUTS["input_ids"]).logits.log_softmax(-1)
    by_hand = -(log_probs[0, 1, 4] + log_probs[0, 2, 5]) / 4 - log_probs[1, 0, 8] / 2
    torch.testing.assert_close(found[0][0], by_hand)


@pytest.mark.gpu
@pytest.mark.parametrize("mean", list(LossMean))
def test_a_gpu_has_the_loss_of_a_cpu(mean):
    found = []
    for device in ("cpu", "cuda"):
        model = tiny_model().to(device)
        batch = learned({n: t.to(device) for n, t in INPUTS.items()}, shares_prefixes=True)
        hidden_ND = chosen_hidden(model, batch)
        loss = weighted_loss(model, hidden_ND, batch.tokens_N, weights_of(batch, mean))
        loss.backward()
        found.append((loss.item(), model.lm_head.weight.grad.cpu()))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)
