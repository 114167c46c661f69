"""TRL's distillation loss as an oracle: equal values and gradients where the two coincide."""

import warnings

import pytest
import torch

from tasks.mopd.losses.exact import forward_kl, reverse_kl
from tests.support.objective_inputs import random_logits

TOKENS, HIDDEN, VOCABULARY = 12, 8, 40
# Its generalized JSD is the forward KL at beta 0 and the reverse KL at beta 1.
BOTH = pytest.mark.parametrize(("ours", "beta"), [(forward_kl, 0.0), (reverse_kl, 1.0)])


@pytest.fixture(scope="module")
def trainer():
    """TRL's module of the trainer; some of what it imports warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from trl.trainer import distillation_trainer
    return distillation_trainer


def inputs():
    """Return hidden states [1, tokens, hidden] and heads of student and teacher, and a mask."""
    student_hidden, teacher_hidden = (random_logits(s, TOKENS, HIDDEN)[None] / 3 for s in (1, 2))
    student_head, teacher_head = (random_logits(s, VOCABULARY, HIDDEN) for s in (3, 4))
    mask = torch.ones(1, TOKENS, dtype=torch.long)
    mask[0, [0, 5, 11]] = 0  # a prompt's or a padding's tokens
    return student_hidden, student_head, teacher_hidden, teacher_head, mask


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_values_and_gradients_are_those_of_the_distillation_trainer(
    trainer, ours, beta, temperature
):
    student_hidden, student_head, teacher_hidden, teacher_head, mask = inputs()
    leaves = [student_hidden.clone().requires_grad_(), student_head.clone().requires_grad_()]
    oracle, entropies, counted = trainer._chunked_divergence_loss(
        leaves[0], teacher_hidden, leaves[1], teacher_head, mask, beta, temperature=temperature
    )
    expected = torch.autograd.grad(oracle, leaves)
    assert (counted.item(), entropies.item() > 0) == (9, True)

    kept = mask[0].bool()
    student = (leaves[0][0, kept] @ leaves[1].T) / temperature
    teacher = (teacher_hidden[0, kept] @ teacher_head.T) / temperature
    loss = ours(student, teacher).mean()
    torch.testing.assert_close(loss, oracle, rtol=1e-5, atol=1e-6)
    for found, of_oracle in zip(torch.autograd.grad(loss, leaves), expected, strict=True):
        torch.testing.assert_close(found, of_oracle, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@BOTH
def test_values_and_gradients_are_those_of_the_generalized_jsd_of_gkd(ours, beta):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from trl.experimental.gkd.gkd_trainer import GKDTrainer
    student, teacher = random_logits(5, 9, 33).requires_grad_(), random_logits(6, 9, 33)
    oracle = GKDTrainer.generalized_jsd_loss(
        student[None], teacher[None], beta=beta, reduction="sum"
    )
    expected = torch.autograd.grad(oracle, student)[0]
    loss = ours(student, teacher).sum()
    torch.testing.assert_close(loss, oracle)
    found = torch.autograd.grad(loss, student)[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
