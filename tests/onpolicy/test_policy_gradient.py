"""The sampled-token policy gradient and its importance window, by hand."""

import math

import pytest
import torch

from tasks.onpolicy.policy_gradient import importance, policy_gradient
from tasks.onpolicy.settings import Correction, ImportanceMask
from tests.support.refused import invalid

WINDOW = ImportanceMask(low=0.5, high=2.0)


def logs(*probabilities):
    """Return the logarithms of these."""
    return torch.tensor(probabilities).log()


def test_importance_is_the_students_probability_over_the_samplers():
    weight = importance(logs(0.3, 0.2, 0.4), logs(0.2, 0.2, 0.5), WINDOW)
    # 0.3 / 0.2 = 1.5, 0.2 / 0.2 = 1, 0.4 / 0.5 = 0.8.
    torch.testing.assert_close(weight.ratio_N, torch.tensor([1.5, 1.0, 0.8]))
    assert not weight.dropped_N.any()


def test_tokens_outside_the_window_are_dropped_and_not_clipped():
    # 0.9 / 0.3 = 3 is above 2, 0.1 / 0.4 = 1/4 is below 1/2.
    weight = importance(logs(0.9, 0.1, 0.2), logs(0.3, 0.4, 0.2), WINDOW)
    torch.testing.assert_close(weight.ratio_N, torch.tensor([0.0, 0.0, 1.0]))
    assert weight.dropped_N.tolist() == [True, True, False]
    assert weight.report()["dropped"].tolist() == [1.0, 1.0, 0.0]
    assert not weight.truncated_N.any()


def test_truncation_cuts_large_weights_and_drops_nothing():
    mask = ImportanceMask(high=2.0, correction=Correction.TRUNCATE)
    # 0.9 / 0.3 = 3 is cut to 2; 0.5 / 0.4 = 1.25 and 0.1 / 0.8 = 1/8 stay, however small.
    weight = importance(logs(0.9, 0.5, 0.1), logs(0.3, 0.4, 0.8), mask)
    torch.testing.assert_close(weight.ratio_N, torch.tensor([2.0, 1.25, 0.125]))
    assert weight.report()["truncated"].tolist() == [1.0, 0.0, 0.0]
    assert weight.report()["dropped"].tolist() == [0.0, 0.0, 0.0]


def test_a_lower_bound_that_truncation_would_not_heed_is_refused():
    with invalid("no-effect", "low"):
        ImportanceMask(low=0.5, correction=Correction.TRUNCATE)


def test_the_edges_of_the_window_belong_to_it():
    # exp(0) is exactly 1, so this window holds nothing but 1.
    edge = ImportanceMask(low=1.0, high=1.0)
    same = importance(logs(0.3), logs(0.3), edge)
    assert same.dropped_N.tolist() == [False]
    other = importance(logs(0.30001, 0.29999), logs(0.3, 0.3), edge)
    assert other.dropped_N.tolist() == [True, True]


def test_no_gradient_flows_through_the_importance():
    student = logs(0.3).requires_grad_()
    assert not importance(student, logs(0.2), WINDOW).ratio_N.requires_grad


def test_the_loss_of_a_token_is_minus_weight_times_advantage_times_log_probability():
    loss = policy_gradient(
        torch.tensor([-1.0, -2.0, -0.5]),
        torch.tensor([2.0, -1.0, 3.0]),
        torch.tensor([1.0, 1.5, 0.0]),
    )
    # -1 x 2 x -1 = 2;  -1.5 x -1 x -2 = -3;  a dropped token has none.
    torch.testing.assert_close(loss, torch.tensor([2.0, -3.0, 0.0]))


def test_the_gradient_of_a_token_is_minus_weight_times_advantage():
    student = torch.tensor([-1.0, -2.0, -0.5], requires_grad=True)
    advantage = torch.tensor([2.0, -1.0, 3.0], requires_grad=True)
    policy_gradient(student, advantage, torch.tensor([1.0, 1.5, 0.0])).sum().backward()
    torch.testing.assert_close(student.grad, torch.tensor([-2.0, 1.5, 0.0]))
    assert advantage.grad is None


def test_a_step_along_the_gradient_makes_a_good_token_likelier_and_a_bad_one_less_likely():
    logits = torch.zeros(2, 3, requires_grad=True)
    log_probs = torch.log_softmax(logits, -1)[:, 0]
    policy_gradient(log_probs, torch.tensor([1.0, -1.0]), torch.ones(2)).sum().backward()
    after = torch.softmax(logits.detach() - logits.grad, -1)[:, 0]
    assert after[0] > 1 / 3 > after[1]


@pytest.mark.parametrize(("low", "high"), [(1.1, 5.0), (0.2, 0.9), (0.0, 5.0), (-1.0, 2.0)])
def test_a_window_without_one_is_refused(low, high):
    with invalid("window-without-one", str(low), str(high)):
        ImportanceMask(low=low, high=high)


def test_the_window_holds_what_the_sampler_said_within_rounding():
    # The default window of [0.2, 5] is a difference of log 5 = 1.609 nats either way.
    near, far = math.log(5) - 0.01, math.log(5) + 0.01
    student = torch.tensor([near, far, -near, -far])
    dropped = importance(student, torch.zeros(4), ImportanceMask()).dropped_N
    assert dropped.tolist() == [False, True, False, True]
