"""The sampled-token form: its advantage, its gradient, and what it is the expectation of."""

import math

import pytest
import torch

from tasks.mopd.losses.exact import divergence_stats, reverse_kl
from tasks.mopd.losses.top_k import log_probs_at, teacher_advantage
from tasks.onpolicy.policy_gradient import policy_gradient
from tests.support.objective_inputs import gradient, leaf, peak_bytes, random_logits

LN2 = math.log(2)
STUDENT = torch.tensor([[1 / 2, 1 / 4, 1 / 4]])


def log_probs(student, ids):
    """Return the log-probabilities of some words of each token, with gradient."""
    known = student.detach().log_softmax(-1).gather(-1, ids)
    return log_probs_at(student, ids, known)


def test_the_gradient_of_a_log_probability_over_three_words():
    student = leaf(STUDENT)
    found = log_probs(student, torch.tensor([[0]]))
    torch.testing.assert_close(found, torch.tensor([[-LN2]]))
    (3 * found).sum().backward()
    # Thrice 1 - 1/2 of the word itself, thrice -1/4 of another.
    torch.testing.assert_close(student.grad, torch.tensor([[3 / 2, -3 / 4, -3 / 4]]))


def test_log_probabilities_of_several_words_have_the_gradient_that_autograd_finds():
    student = random_logits(1, 6, 9, torch.float64)
    ids = torch.randint(9, (6, 4), generator=torch.Generator().manual_seed(0))
    ids[:, 3] = ids[:, 0]  # twice the same word
    weights = torch.arange(24.0, dtype=torch.float64).reshape(6, 4) - 7

    def plain(logits, ids):
        return weights * logits.log_softmax(-1).gather(-1, ids)

    found = gradient(lambda logits, ids: weights * log_probs(logits, ids), student, ids)
    torch.testing.assert_close(found, gradient(plain, student, ids))


def test_finite_differences_agree():
    ids = torch.tensor([[0, 2], [1, 1]])

    def of_words(logits):
        return log_probs_at(logits, ids, logits.log_softmax(-1).gather(-1, ids).detach())

    student = random_logits(2, 2, 4, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(of_words, [student])


def test_two_losses_of_the_same_words_each_have_their_own_gradient():
    student, ids = random_logits(3).requires_grad_(), torch.zeros(8, 1, dtype=torch.long)
    support = log_probs(student, ids)
    first = torch.autograd.grad((2 * support).sum(), student, retain_graph=True)[0]
    second = torch.autograd.grad((5 * support).sum(), student)[0]
    torch.testing.assert_close(second, first * 2.5)


def test_a_word_that_is_ruled_out_leaves_others_alone():
    student = torch.tensor([[0.0, 0.0, -torch.inf]]).requires_grad_()
    back = torch.autograd.grad(log_probs(student, torch.tensor([[0]])).sum(), student)[0]
    torch.testing.assert_close(back, torch.tensor([[1 / 2, -1 / 2, 0.0]]))


def test_low_precision_logits_get_gradients_of_their_own_precision():
    student = random_logits(4, 5, 7, torch.bfloat16)
    ids = torch.zeros(5, 1, dtype=torch.long)
    known = divergence_stats(student, student, ids).student_CK
    assert known.dtype == torch.float32
    found = gradient(lambda logits: log_probs_at(logits, ids, known), student)
    expected = gradient(lambda logits: log_probs(logits, ids), student.float())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=2e-2, atol=1e-2)


def test_reading_and_backward_hold_one_tensor_of_the_chunks_size():
    student, teacher = random_logits(5, 512, 4096).requires_grad_(), random_logits(6, 512, 4096)
    ids = torch.zeros(512, 1, dtype=torch.long)

    def loss():
        stats = divergence_stats(student, teacher, ids)
        return log_probs_at(student, ids, stats.student_CK).sum()

    size = student.numel() * 4
    assert size <= peak_bytes(lambda: torch.autograd.grad(loss(), student)) <= 1.3 * size
    assert peak_bytes(loss) <= 0.3 * size


def test_a_reading_is_divergence_entropy_and_log_probabilities():
    teacher = torch.tensor([[1 / 4, 1 / 4, 1 / 2]])
    found = divergence_stats(STUDENT.log(), teacher.log(), torch.tensor([[2, 0]]))
    torch.testing.assert_close(found.kl_C, torch.tensor([LN2 / 4]))
    # 1/2 log 2 + 2 x 1/4 log 4
    torch.testing.assert_close(found.entropy_C, torch.tensor([1.5 * LN2]))
    torch.testing.assert_close(found.student_CK, torch.tensor([[-2 * LN2, -LN2]]))
    torch.testing.assert_close(found.teacher_CK, torch.tensor([[-LN2, -2 * LN2]]))


def test_the_entropy_of_a_certain_student_is_zero():
    certain = torch.tensor([[0.0, -torch.inf, -1e4]])
    assert divergence_stats(certain, certain, torch.tensor([[0]])).entropy_C.item() == 0.0


def test_reverse_kl_is_the_expectation_of_the_sampled_token_form():
    teacher = random_logits(2)
    exact, sampled = random_logits(1).requires_grad_(), random_logits(1).requires_grad_()
    divergence = reverse_kl(exact, teacher)
    divergence.sum().backward()

    # Enumerate the token that might have been sampled, each with its probability.
    student_log_probs, teacher_log_probs = sampled.log_softmax(-1), teacher.log_softmax(-1)
    expectation, advantage_mean = torch.zeros(8), torch.zeros(8)
    for token in range(5):
        log_prob = student_log_probs[:, token]
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
