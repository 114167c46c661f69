"""Noise picks the token at which the cumulative probability passes it."""

import pytest
import torch

from tasks.rollout.sampling.transformers import writing
from tasks.rollout.sampling.transformers.writing import draw

IMPOSSIBLE = float("-inf")


def tokens_for(shares, noise):
    """Return the tokens that each noise picks among words of these shares."""
    logits = torch.tensor([shares]).log().expand(len(noise), -1)
    return draw(logits, torch.tensor(noise, dtype=torch.float64))[0].tolist()


def plain(logits, noise):
    """Return tokens and log-probabilities by one long sum in fp64."""
    shares = torch.softmax(logits.double(), -1)
    tokens = torch.searchsorted(shares.cumsum(-1), noise[:, None], right=True)
    return tokens[:, 0], torch.log_softmax(logits.double(), -1).gather(1, tokens)[:, 0]


def test_noise_picks_the_token_at_which_the_cumulative_probability_passes_it():
    noise = [0.0, 0.2499, 0.2501, 0.7499, 0.7501, 0.9999]
    assert tokens_for([0.25, 0.5, 0.25], noise) == [0, 0, 1, 1, 2, 2]


def test_the_log_probability_is_that_of_the_token_whatever_the_logits_add_up_to():
    logits = torch.tensor([[0.25, 0.5, 0.25]]).log() + 70.0
    tokens, log_probs = draw(logits.expand(2, 3), torch.tensor([0.1, 0.6], dtype=torch.float64))
    assert tokens.tolist() == [0, 1]
    # log 0.25 and log 0.5; 70 in fp32 leaves 8e-6 for what stands behind the point.
    assert log_probs.tolist() == pytest.approx([-1.3862944, -0.6931472], abs=1e-5)
    assert log_probs.dtype == torch.float32


@pytest.mark.parametrize("noise", [0.0, 2**-53, 0.5, 1 - 2**-24, 1 - 2**-53, 1.0])
@pytest.mark.parametrize("length", [2, 130, 300])
def test_noise_at_either_end_never_picks_an_impossible_token(length, noise):
    # Possible are the second and the last but one; all blocks but theirs are impossible.
    shares = [0.0, 0.5, *[0.0] * (length - 2), 0.5, 0.0]
    picked = tokens_for(shares, [noise])[0]
    assert picked == (1 if noise < 0.5 else length)


def test_noise_at_the_end_of_a_large_vocabulary_stays_within_it():
    logits = torch.zeros(4, 150_000)
    tokens, log_probs = draw(logits, torch.tensor([1 - 2**-53, 1.0, 0.5, 0.25]).double())
    assert tokens[:2].tolist() == [149_999, 149_999]
    assert tokens[2:].tolist() == [75_000, 37_500]
    assert log_probs.tolist() == pytest.approx([-11.918390573] * 4)  # log(1 / 150,000)


@pytest.mark.parametrize("size", [1, 5, 127, 128, 129, 384, 5000])
def test_blocks_pick_what_one_long_sum_picks(size):
    generator = torch.Generator().manual_seed(size)
    logits = 3 * torch.randn(500, size, generator=generator)
    noise = torch.rand(500, generator=generator, dtype=torch.float64)
    tokens, log_probs = draw(logits, noise)
    expected, nats = plain(logits, noise)
    # Shares are fp32: a noise within 1e-6 of a border may fall to either side of it.
    assert int((tokens != expected).sum()) <= 1
    same = tokens == expected
    torch.testing.assert_close(log_probs[same], nats[same].float(), atol=2e-6, rtol=2e-6)


def test_noise_on_a_border_between_blocks_picks_the_next_block(monkeypatch):
    monkeypatch.setattr(writing, "_BLOCK", 2)
    noise = [0.0, 0.125, 0.375, 0.5, 0.625, 0.75, 0.875]
    assert tokens_for([0.125] * 8, noise) == [0, 1, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), IMPOSSIBLE])
def test_logits_without_a_distribution_give_nan_log_probabilities(bad):
    # The loop checks log-probabilities for this; a token must come back all the same.
    tokens, log_probs = draw(torch.full((2, 300), bad), torch.tensor([0.0, 0.9]).double())
    assert bool(log_probs.isnan().all())
    assert all(0 <= token < 300 for token in tokens.tolist())
