"""The exact divergences: by hand, against autograd, at their limits, and what they hold."""

import math

import pytest
import torch

from tasks.mopd.losses import exact as blocks
from tasks.mopd.losses.exact import forward_kl, reverse_kl
from tests.support.objective_inputs import (
    gradient,
    leaf,
    peak_bytes,
    plain_forward,
    plain_reverse,
    random_logits,
)

LN2 = math.log(2)
STUDENT = torch.tensor([[1 / 2, 1 / 4, 1 / 4]])
TEACHER = torch.tensor([[1 / 4, 1 / 4, 1 / 2]])
EXACT = pytest.mark.parametrize(
    ("exact", "plain"), [(reverse_kl, plain_reverse), (forward_kl, plain_forward)]
)


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


def test_the_teacher_of_a_divergence_gets_no_gradient():
    student, teacher = leaf(STUDENT), leaf(TEACHER)
    reverse_kl(student, teacher).sum().backward()
    assert teacher.grad is None


def test_a_word_that_the_teacher_rules_out_costs_without_bound():
    ruled_out = torch.tensor([[0.0, -1e4]])
    # 1/2 log(1/2) + 1/2 (log(1/2) + 10,000) = 5,000 - log 2
    found = reverse_kl(torch.zeros(1, 2), ruled_out).item()
    assert found == pytest.approx(5000 - LN2, rel=1e-6)


def test_forward_kl_over_three_words():
    # 1/4 log(1/2) + 1/4 log(1) + 1/2 log(2) = (1/2 - 1/4) log 2
    found = forward_kl(STUDENT.log(), TEACHER.log())
    torch.testing.assert_close(found, torch.tensor([LN2 / 4]))
    even, skewed = torch.tensor([[1 / 2, 1 / 2]]), torch.tensor([[1 / 4, 3 / 4]])
    # 1/4 log(1/2) + 3/4 log(3/2) of the skewed teacher; the reverse would be 1/2 log(4/3).
    expected = math.log(1 / 2) / 4 + 3 * math.log(3 / 2) / 4
    assert forward_kl(even.log(), skewed.log()).item() == pytest.approx(expected)


def test_the_gradient_of_forward_kl_is_the_difference_of_probabilities():
    student = leaf(STUDENT)
    (2 * forward_kl(student, TEACHER.log())).sum().backward()
    # Twice 1/2 - 1/4, twice 1/4 - 1/4, twice 1/4 - 1/2.
    torch.testing.assert_close(student.grad, torch.tensor([[1 / 2, 0.0, -1 / 2]]))


@EXACT
def test_a_divergence_is_what_autograd_finds_for_values_and_gradients(exact, plain):
    student, teacher = (random_logits(seed, 37, 41, torch.float64) for seed in (3, 4))
    torch.testing.assert_close(exact(student, teacher), plain(student, teacher))
    weights = torch.arange(37.0, dtype=torch.float64) - 10

    def weighted(of):
        return lambda s: weights * of(s, teacher)

    expected = gradient(weighted(plain), student)
    torch.testing.assert_close(gradient(weighted(exact), student), expected)


@EXACT
def test_a_gradient_is_what_finite_differences_find(exact, plain):
    student, teacher = (random_logits(seed, 4, 6, torch.float64) for seed in (5, 6))
    assert torch.autograd.gradcheck(lambda s: exact(s, teacher), [student.requires_grad_()])


@EXACT
def test_it_does_not_matter_how_many_rows_are_a_block(exact, plain, monkeypatch):
    student, teacher = random_logits(7, 11, 5), random_logits(8, 11, 5)
    whole = exact(student, teacher), gradient(exact, student, teacher)
    # 20 elements of five words are four rows: blocks of 4, 4 and 3 tokens.
    monkeypatch.setattr(blocks, "_CPU_ELEMENTS", 20)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    cut = exact(student, teacher), gradient(exact, student, teacher)
    torch.testing.assert_close(cut, whole, rtol=0, atol=0)


@EXACT
def test_a_word_that_both_rule_out_does_not_exist(exact, plain):
    student, teacher = random_logits(9, 8, 6), random_logits(10, 8, 6)
    fewer = exact(student[:, 1:], teacher[:, 1:]), gradient(exact, student[:, 1:], teacher[:, 1:])
    student[:, 0] = teacher[:, 0] = -torch.inf
    torch.testing.assert_close(exact(student, teacher), fewer[0])
    found = gradient(exact, student, teacher)
    assert found[:, 0].tolist() == [0.0] * 8
    torch.testing.assert_close(found[:, 1:], fewer[1])


def test_a_word_that_the_student_rules_out_has_no_part_in_the_reverse_kl():
    student = torch.tensor([[-torch.inf, 0.0, 0.0]])
    # 1/2 log(1/2 / 1/4) + 1/2 log(1/2 / 1/2) = log(2) / 2, and the ratios log 2 and 0 less that.
    assert reverse_kl(student, TEACHER.log()).item() == pytest.approx(LN2 / 2)
    found = gradient(reverse_kl, student, TEACHER.log())
    torch.testing.assert_close(found, torch.tensor([[0.0, LN2 / 4, -LN2 / 4]]))


def test_a_word_that_the_teacher_rules_out_has_no_part_in_the_forward_kl():
    teacher = torch.tensor([[-torch.inf, 0.0, 0.0]])
    # 1/2 log(1/2 / 1/4) twice, of a student with 1/2, 1/4, 1/4.
    assert forward_kl(STUDENT.log(), teacher).item() == pytest.approx(LN2)
    found = gradient(forward_kl, STUDENT.log(), teacher)
    torch.testing.assert_close(found, torch.tensor([[1 / 2, -1 / 4, -1 / 4]]))


def test_a_word_that_only_the_other_rules_out_makes_a_divergence_infinite_and_says_so():
    ruled_out = torch.tensor([[-torch.inf, 0.0]])
    assert reverse_kl(torch.zeros(1, 2), ruled_out).item() == math.inf
    assert forward_kl(ruled_out, torch.zeros(1, 2)).item() == math.inf
    # Not a number that an optimizer could take for a step.
    assert not gradient(reverse_kl, torch.zeros(1, 2), ruled_out).isfinite().any()


@EXACT
def test_a_word_below_every_float_is_as_good_as_ruled_out(exact, plain):
    far = torch.tensor([[-1e4, 0.0]])
    assert exact(far, torch.tensor([[-torch.inf, 0.0]])).item() == 0.0
    assert gradient(exact, far, torch.tensor([[-torch.inf, 0.0]])).tolist() == [[0.0, 0.0]]


@EXACT
def test_a_nan_logit_is_not_hidden(exact, plain):
    for broken in (0, 1):
        logits = [torch.zeros(2, 3), torch.tensor([[-torch.inf, 0, 0], [0, 0, 0]])]
        logits[broken][1, 2] = torch.nan
        assert exact(*logits)[1].isnan()
        assert gradient(exact, *logits)[1].isnan().all()


@EXACT
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 2e-2), (torch.float32, 1e-5)])
def test_logits_of_less_precision_are_read_in_fp32(exact, plain, dtype, tolerance):
    student, teacher = random_logits(11, 9, 33, dtype), random_logits(12, 9, 33, dtype)
    found = exact(student, teacher)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, plain(student.float(), teacher.float()), rtol=1e-5, atol=1e-5)
    back = gradient(exact, student, teacher)
    assert back.dtype == dtype
    expected = gradient(plain, student.float(), teacher.float())
    torch.testing.assert_close(back.float(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("spread", "floor"), [(1, 6e-6), (3, 2e-4)])
def test_a_student_in_bf16_is_apart_from_its_own_weights_in_fp32_by_rounding(spread, floor):
    drawn = torch.Generator().manual_seed(0)
    hidden = torch.randn(8, 256, generator=drawn)
    head = torch.randn(131_072, 256, generator=drawn) * spread / 16  # logits of this deviation
    low = hidden.bfloat16() @ head.bfloat16().T
    assert float(reverse_kl(low, hidden @ head.T).mean()) == pytest.approx(floor, rel=0.5)
    assert float(reverse_kl(low, low).abs().max()) == 0.0


@EXACT
def test_a_graph_that_is_kept_gives_the_same_gradient_again(exact, plain):
    student, teacher = random_logits(13).requires_grad_(), random_logits(14)
    total = (3 * exact(student, teacher)).sum()
    first = torch.autograd.grad(total, student, retain_graph=True)[0].clone()
    again = torch.autograd.grad(total, student, retain_graph=True)[0]
    last = torch.autograd.grad(total, student)[0]
    assert torch.equal(first, again)
    assert torch.equal(first, last)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(total, student)


@EXACT
def test_the_logits_that_are_given_stay_as_they_are(exact, plain):
    student, teacher = random_logits(15).requires_grad_(), random_logits(16)
    before = student.detach().clone(), teacher.clone()
    exact(student, teacher).sum().backward()
    assert torch.equal(student, before[0])
    assert torch.equal(teacher, before[1])


@EXACT
def test_one_tensor_of_the_chunks_size_is_all_that_ever_exists(exact, plain):
    student, teacher = random_logits(17, 512, 4096), random_logits(18, 512, 4096)
    size = student.numel() * 4

    def backward(of):
        return lambda: gradient_of_leaf(of, student, teacher)

    # The gradient, and blocks of at most an eighth of it.
    assert size <= peak_bytes(backward(exact)) <= 1.3 * size
    assert peak_bytes(backward(plain)) >= 5 * size


@EXACT
def test_the_gradient_of_low_precision_logits_is_held_in_low_precision(exact, plain):
    logits = [random_logits(seed, 1024, 4096, torch.bfloat16) for seed in (19, 20)]
    size = logits[0].numel() * 2
    # Blocks are in fp32; a gradient in fp32 alone would be twice the size.
    assert peak_bytes(lambda: gradient_of_leaf(exact, *logits)) <= 1.5 * size


@EXACT
def test_without_tokens_the_loss_is_zero(exact, plain):
    nothing = torch.zeros(0, 5)
    assert exact(nothing, nothing).shape == (0,)
    assert gradient(exact, nothing, nothing).shape == (0, 5)


@EXACT
def test_without_a_gradient_nothing_of_the_chunks_size_exists(exact, plain):
    student, teacher = random_logits(17, 512, 4096).requires_grad_(), random_logits(18, 512, 4096)

    @torch.no_grad()
    def look():
        return exact(student, teacher)

    assert peak_bytes(look) <= 0.3 * student.numel() * 4


def gradient_of_leaf(of, student, teacher):
    """Return the gradient, without a copy of the logits."""
    return torch.autograd.grad(of(student.requires_grad_(), teacher).sum(), student)[0]
