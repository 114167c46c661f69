"""The losses of DPO, by hand."""

import math

import pytest
import torch

from tasks.preference.loss import ComparisonBatch, SideLogProbs, measured, preference_loss
from tasks.preference.settings import PreferenceSettings


def settings(**changed):
    return PreferenceSettings(num_steps=1, learning_rate=1, **changed)


def side(policy, reference, tokens):
    return SideLogProbs(*(torch.tensor(values) for values in (policy, reference, tokens)))


# Log-ratios: chosen 1 and -2, rejected -3 and 1.
BATCH = ComparisonBatch(
    side([-4.0, -9.0], [-5.0, -7.0], [2, 4]),
    side([-8.0, -6.0], [-5.0, -7.0], [3, 2]),
    torch.tensor([-2.0, -3.0]),
)


def log_sigmoid(x):
    return -math.log(1 + math.exp(-x))


def test_plain_dpo_compares_the_log_ratios_of_whole_responses():
    # Leads: 0.1 x (1 + 3) and 0.1 x (-2 - 1).
    expected = -(log_sigmoid(0.4) + log_sigmoid(-0.3)) / 2
    assert preference_loss(BATCH, settings()).item() == pytest.approx(expected)


def test_length_normalized_dpo_compares_log_ratios_per_token():
    # Leads: 5 x (1 / 2 + 3 / 3) and 5 x (-2 / 4 - 1 / 2).
    expected = -(log_sigmoid(7.5) + log_sigmoid(-5.0)) / 2
    found = preference_loss(BATCH, settings(beta=5, length_normalized=True))
    assert found.item() == pytest.approx(expected)


def test_the_likelihood_of_the_chosen_response_is_added_with_its_weight():
    plain = preference_loss(BATCH, settings()).item()
    assert preference_loss(BATCH, settings(nll_weight=0.2)).item() == pytest.approx(
        plain + 0.2 * (2 + 3) / 2
    )


def test_margin_accuracy_log_probabilities_and_drift_are_measured():
    assert measured(BATCH, settings()) == pytest.approx(
        {
            "margin": 0.05,
            "accuracy": 0.5,
            "log_prob_chosen": -6.5,
            "log_prob_rejected": -7.0,
            "likelihood": -2.5,
            # Chosen: (-1 / 2 + 2 / 4) / 2 = 0; rejected: (3 / 3 - 1 / 2) / 2 = 0.25.
            "drift": 0.125,
        }
    )
