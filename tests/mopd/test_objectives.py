"""The losses of distillation: values and gradients worked out by hand."""

import math

import pytest
import torch

from tasks.mopd.objectives.exact import reverse_kl
from tasks.mopd.objectives.words import teacher_advantage
from tasks.onpolicy.policy_gradient import policy_gradient

LN2 = math.log(2)
STUDENT = torch.tensor([[1 / 2, 1 / 4, 1 / 4]])
TEACHER = torch.tensor([[1 / 4, 1 / 4, 1 / 2]])


def leaf(probabilities):
    """Return logits of these probabilities that collect a gradient."""
    return probabilities.log().requires_grad_()


def random_logits(seed):
    """Return logits of eight tokens over a vocabulary of five."""
    return torch.randn(8, 5, generator=torch.Generator().manual_seed(seed)) * 3


def test_reverse_kl_over_three_words():
    # 1/2 log(2) + 1/4 log(1) + 1/4 log(1/2) = (1/2 - 1/4) log 2
    found = reverse_kl(STUDENT.log(), TEACHER.log())
    torch.testing.assert_close(found, torch.tensor([LN2 / 4]))


def test_the_divergence_is_from_the_students_side():
    even, skewed = torch.tensor([[1 / 2, 1 / 2]]), torch.tensor([[1 / 4, 3 / 4]])
    # Student even: 1/2 log(2) + 1/2 log(2/3) = 1/2 log(4/3). The other way round it would be
    # 1/4 log(1/2) + 3/4 log(3/2) = 0.131, and that is what the swapped call gives.
    assert reverse_kl(even.log(), skewed.log()).item() == pytest.approx(math.log(4 / 3) / 2)
    other = math.log(1 / 2) / 4 + 3 * math.log(3 / 2) / 4
    assert reverse_kl(skewed.log(), even.log()).item() == pytest.approx(other)


def test_the_gradient_of_reverse_kl_over_three_words():
    student = leaf(STUDENT)
    reverse_kl(student, TEACHER.log()).sum().backward()
    # d/dz_i = p_i (log(p_i / q_i) - KL), with KL = log 2 / 4 and log ratios log 2, 0, -log 2:
    # 1/2 (1 - 1/4), 1/4 (0 - 1/4), 1/4 (-1 - 1/4), each times log 2; they sum to 0.
    expected = torch.tensor([[3 / 8, -1 / 16, -5 / 16]]) * LN2
    torch.testing.assert_close(student.grad, expected)


def test_a_student_that_is_its_teacher_has_no_divergence_and_no_gradient():
    student = random_logits(0).requires_grad_()
    divergence = reverse_kl(student, student.detach().clone())
    divergence.sum().backward()
    assert divergence.abs().max() == 0.0
    torch.testing.assert_close(student.grad, torch.zeros(8, 5), rtol=0, atol=1e-6)


def test_divergences_are_never_negative_and_vanish_for_equal_probabilities_alone():
    for seed in range(20):
        student, teacher = random_logits(seed), random_logits(seed + 100)
        assert (reverse_kl(student, teacher) > 0).all()
        # The same probabilities from shifted logits.
        shifted = student + torch.arange(8.0)[:, None]
        torch.testing.assert_close(reverse_kl(student, shifted), torch.zeros(8), rtol=0, atol=1e-5)


def test_reverse_kl_is_the_expectation_of_the_sampled_token_form():
    teacher = random_logits(2)
    exact, sampled = random_logits(1).requires_grad_(), random_logits(1).requires_grad_()
    divergence = reverse_kl(exact, teacher)
    divergence.sum().backward()

    # Enumerate the token that might have been sampled, each with its probability.
    log_probs, teacher_log_probs = sampled.log_softmax(-1), teacher.log_softmax(-1)
    expectation, advantage_mean = torch.zeros(8), torch.zeros(8)
    for token in range(5):
        log_prob = log_probs[:, token]
        probability = log_prob.exp().detach()
        advantage = teacher_advantage(log_prob, teacher_log_probs[:, token], clip=1e9)
        expectation = expectation + probability * policy_gradient(
            log_prob, advantage, torch.ones(8)
        )
        advantage_mean = advantage_mean + probability * advantage
    expectation.sum().backward()

    # E[log q - log p] = -KL, and E[-A grad log p] = grad KL.
    torch.testing.assert_close(-advantage_mean, divergence.detach())
    torch.testing.assert_close(sampled.grad, exact.grad, rtol=1e-4, atol=1e-6)


def test_the_teacher_of_a_divergence_gets_no_gradient():
    student, teacher = leaf(STUDENT), leaf(TEACHER)
    reverse_kl(student, teacher).sum().backward()
    assert teacher.grad is None


def test_a_word_that_the_teacher_rules_out_costs_without_bound():
    ruled_out = torch.tensor([[0.0, -1e4]])
    # 1/2 log(1/2) + 1/2 (log(1/2) + 10,000) = 5,000 - log 2
    found = reverse_kl(torch.zeros(1, 2), ruled_out).item()
    assert found == pytest.approx(5000 - LN2, rel=1e-6)


def test_a_teachers_advantage_is_its_log_probability_minus_the_students():
    found = teacher_advantage(torch.tensor([-1.0, -3.0, -2.0]), torch.tensor([-0.5, -4.0, -2.0]), 5)
    torch.testing.assert_close(found, torch.tensor([0.5, -1.0, 0.0]))


@pytest.mark.parametrize("clip", [0.5, 5.0])
def test_a_teachers_advantage_is_clipped_at_both_ends(clip):
    student = torch.tensor([-9.0, 0.0, -1.0, -1.0])
    teacher = torch.tensor([0.0, -9.0, -0.9, -1.1])
    # 9 and -9 are cut to the bound, 0.1 and -0.1 are left alone.
    expected = torch.tensor([clip, -clip, 0.1, -0.1])
    torch.testing.assert_close(teacher_advantage(student, teacher, clip), expected)


def test_no_gradient_flows_through_a_teachers_advantage():
    student, teacher = torch.zeros(2, requires_grad=True), torch.ones(2, requires_grad=True)
    assert not teacher_advantage(student, teacher, 5.0).requires_grad
