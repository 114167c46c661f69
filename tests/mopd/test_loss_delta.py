"""The delta target: by hand, its limits, and with every divergence."""

import math

import pytest
import torch

from tasks.mopd.losses.anchored import delta_target
from tasks.mopd.losses.exact import forward_kl, reverse_kl
from tasks.mopd.losses.teacher_term import Chunk, teacher_term
from tasks.mopd.settings import DistilSettings, Divergence, TopK
from tests.support.objective_inputs import gradient, random_logits
from tests.support.refused import refused

LN2 = math.log(2)


def logs(*probabilities):
    """Return log-probabilities of one token."""
    return torch.tensor([probabilities]).log()


def test_what_a_teacher_learned_is_put_onto_the_anchor():
    # The teacher made word 0 twice and word 2 half as likely as its precursor has them; an anchor
    # of 1/4, 1/2, 1/4 gives 1/2, 1/2, 1/8, of 9/8.
    found = delta_target(
        logs(1 / 4, 1 / 2, 1 / 4), logs(1 / 2, 1 / 3, 1 / 6), logs(1 / 4, 1 / 3, 1 / 3)
    )
    torch.testing.assert_close(found, logs(4 / 9, 4 / 9, 1 / 9))


def test_a_teacher_that_learned_nothing_leaves_the_anchor():
    anchor, teacher = random_logits(1), random_logits(2)
    found = delta_target(anchor, teacher, teacher + 3)
    torch.testing.assert_close(found, anchor.log_softmax(-1))


def test_of_an_anchor_that_is_the_precursor_the_teacher_is_the_target():
    anchor, teacher = random_logits(3), random_logits(4)
    found = delta_target(anchor, teacher, anchor)
    torch.testing.assert_close(found, teacher.log_softmax(-1), rtol=1e-5, atol=1e-5)


def test_the_deltas_of_two_teachers_add_up_in_either_order():
    anchor, one, one_before, two, two_before = (random_logits(seed) for seed in range(5))
    found = delta_target(delta_target(anchor, one, one_before), two, two_before)
    other = delta_target(delta_target(anchor, two, two_before), one, one_before)
    expected = (anchor + one - one_before + two - two_before).log_softmax(-1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(other, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("divergence", list(Divergence))
def test_every_form_takes_it_in_the_teachers_place(divergence):
    anchor, teacher, precursor, student = (random_logits(seed) for seed in range(5, 9))
    target, tokens = delta_target(anchor, teacher, precursor), torch.zeros(8, dtype=torch.long)
    top_k = TopK(k=3) if divergence is Divergence.TOP_K else TopK()
    settings = DistilSettings(divergence=divergence, top_k=top_k)

    def loss(logits):
        sampler = logits.detach().log_softmax(-1)[:, 0]
        return teacher_term(Chunk(logits, target, tokens, sampler), settings, []).loss_C

    assert gradient(loss, student).abs().sum() > 0
    torch.testing.assert_close(gradient(loss, target), torch.zeros(8, 5), rtol=0, atol=1e-6)


def test_the_divergence_from_it_is_that_from_its_probabilities():
    student, target = logs(1 / 2, 1 / 4, 1 / 4), delta_target(*(random_logits(9, 1, 3),) * 3)
    for divergence in (reverse_kl, forward_kl):
        torch.testing.assert_close(divergence(student, target), divergence(student, target + 7))


def test_words_that_are_ruled_out_stay_so():
    never = -torch.inf
    anchor = torch.tensor([[0.0, 0.0, 0.0, never]])
    # Word 1 is unknown to teacher and precursor, word 2 was given up by the teacher.
    teacher = torch.tensor([[0.0, never, never, 0.0]])
    precursor = torch.tensor([[0.0, never, 0.0, 0.0]])
    found = delta_target(anchor, teacher, precursor)
    torch.testing.assert_close(found, logs(1 / 2, 1 / 2, 0.0, 0.0))


def test_a_precursor_that_knows_less_words_than_the_teacher_is_refused():
    precursor = torch.tensor([[0.0, -torch.inf]])
    with refused("infinite-delta"):
        delta_target(torch.zeros(1, 2), torch.zeros(1, 2), precursor)


def test_the_target_has_no_gradient_and_is_in_fp32_at_least():
    anchor, teacher, precursor = (random_logits(seed, dtype=torch.bfloat16) for seed in (10, 1, 2))
    found = delta_target(anchor.requires_grad_(), teacher, precursor)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    # As it is in fp32, of the same rounded logits.
    again = delta_target(anchor.float(), teacher.float(), precursor.float())
    assert torch.equal(found, again)
    assert torch.equal(anchor, random_logits(10, dtype=torch.bfloat16))
