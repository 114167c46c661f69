"""Settings to losses: each form, its importance, its report, and what it is worth on average."""

import math

import pytest
import torch

from tasks.mopd.losses.exact import forward_kl, reverse_kl
from tasks.mopd.losses.teacher_term import Chunk, teacher_term
from tasks.mopd.settings import DistilSettings, Divergence, Support, TopK
from tasks.onpolicy.policy_gradient import policy_gradient
from tasks.onpolicy.settings import Correction, ImportanceMask
from tests.support.objective_inputs import gradient, leaf, peak_bytes, random_logits

LN2 = math.log(2)
FULL, FORWARD, TOP_K, SAMPLED = Divergence
FORMS = pytest.mark.parametrize("divergence", list(Divergence))
STUDENT = torch.tensor([[1 / 2, 1 / 4, 1 / 4]])
TEACHER = torch.tensor([[1 / 4, 1 / 4, 1 / 2]])


def term(divergence, student, teacher, token=0, sampler=None, control=(), **settings):
    """Return the teacher's term, where every token has the same id; on policy unless told."""
    if divergence is TOP_K:
        settings.setdefault("top_k", TopK(k=1))
    settings = DistilSettings(divergence=divergence, **settings)
    tokens = torch.full(student.shape[:1], token)
    known = student.detach().float().log_softmax(-1)[:, token]
    chunk = Chunk(student, teacher, tokens, known if sampler is None else sampler)
    return teacher_term(chunk, settings, control)


@pytest.mark.parametrize(
    ("divergence", "loss", "back"),
    [
        (FULL, LN2 / 4, [3 / 8 * LN2, -1 / 16 * LN2, -5 / 16 * LN2]),
        (FORWARD, LN2 / 4, [1 / 4, 0.0, -1 / 4]),
        (TOP_K, (1 - LN2) / 4, [1 / 8 * LN2, 1 / 16 * LN2, -3 / 16 * LN2]),
        # A = log(1/4) - log(1/2) = -log 2 of word 0, whose log p is -log 2: -A log p, and -A times
        # 1 - 1/2, -1/4, -1/4.
        (SAMPLED, -LN2 * LN2, [LN2 / 2, -LN2 / 4, -LN2 / 4]),
    ],
)
@pytest.mark.parametrize(("ratio", "weight"), [(1.0, 1.0), (2.0, 2.0), (8.0, 0.0)])
def test_each_form_over_three_words(divergence, loss, back, ratio, weight):
    student = leaf(STUDENT)
    # The sampler gave word 0 a probability of 1/2 over the ratio.
    sampler = torch.tensor([1 / 2 / ratio]).log()
    found = term(divergence, student, TEACHER.log(), sampler=sampler)
    torch.testing.assert_close(found.loss_C, torch.tensor([weight * loss]))
    found.loss_C.sum().backward()
    torch.testing.assert_close(student.grad, weight * torch.tensor([back]))


@FORMS
def test_every_form_reports_the_exact_divergence_the_entropy_and_the_advantage(divergence):
    found = term(divergence, leaf(STUDENT), TEACHER.log(), token=2)
    torch.testing.assert_close(found.report["kl"], torch.tensor([LN2 / 4]))
    torch.testing.assert_close(found.report["entropy"], torch.tensor([1.5 * LN2]))
    # log(1/2) - log(1/4) of word 2
    torch.testing.assert_close(found.advantage_C, torch.tensor([LN2]))
    held = [*found.report.values(), found.advantage_C, found.importance.ratio_N]
    assert not any(tensor.requires_grad for tensor in held)
    expected = {"kl", "entropy", "from_uniform", "dropped", "truncated"}
    expected |= {"clipped"} if divergence is SAMPLED else set()
    expected |= {"overlap", "student_mass", "teacher_mass"} if divergence is TOP_K else set()
    assert set(found.report) == expected


@FORMS
def test_only_the_sampled_form_clips_the_advantage(divergence):
    student, teacher = torch.tensor([[0.0, -20.0]]), torch.tensor([[-20.0, 0.0]])
    found = term(divergence, student, teacher)
    # log p is 0 but for 2e-9, log q is -20.
    expected = -5.0 if divergence is SAMPLED else -20.0
    assert found.advantage_C.item() == pytest.approx(expected)
    if divergence is SAMPLED:
        assert found.report["clipped"].tolist() == [1.0]
        assert term(divergence, student, teacher, advantage_clip=20.5).report["clipped"] == 0.0


@FORMS
def test_truncated_importance_weighs_a_token_instead_of_dropping_it(divergence):
    mask = ImportanceMask(high=2.0, correction=Correction.TRUNCATE)
    sampler = (STUDENT[:, 0] / 8).log()
    cut = term(divergence, STUDENT.log(), TEACHER.log(), sampler=sampler, importance=mask)
    once = term(divergence, STUDENT.log(), TEACHER.log())
    torch.testing.assert_close(cut.loss_C, 2 * once.loss_C)
    assert (cut.report["truncated"].item(), cut.report["dropped"].item()) == (1.0, 0.0)
    assert (once.report["truncated"].item(), once.report["dropped"].item()) == (0.0, 0.0)


def test_the_top_k_form_reports_overlap_and_mass():
    student, teacher = torch.tensor([[0.5, 0.3, 0.15, 0.05]]), torch.tensor([[0.1, 0.4, 0.2, 0.3]])
    top_k = TopK(k=2, support=Support.TEACHER)
    report = term(TOP_K, student.log(), teacher.log(), top_k=top_k).report
    # The student's two are 0 and 1, the teacher's 1 and 3: 0.3 + 0.05, and 0.4 + 0.3.
    assert report["overlap"].item() == 0.5
    assert report["student_mass"].item() == pytest.approx(0.35)
    assert report["teacher_mass"].item() == pytest.approx(0.7)
    report = term(TOP_K, student.log(), teacher.log(), control=(2,), top_k=top_k).report
    assert report["student_mass"].item() == pytest.approx(0.5)


@pytest.mark.parametrize(("divergence", "exact"), [(FULL, reverse_kl), (FORWARD, forward_kl)])
def test_the_exact_forms_are_the_divergences(divergence, exact):
    student, teacher = random_logits(1, 9, 21), random_logits(2, 9, 21)
    found = term(divergence, student, teacher).loss_C
    torch.testing.assert_close(found, exact(student, teacher))


def test_the_sampled_form_asks_on_average_for_what_the_reverse_kl_asks():
    student, teacher = (random_logits(seed, 6, 7, torch.float64) for seed in (3, 4))
    expected = gradient(reverse_kl, student, teacher)
    probabilities, average = student.softmax(-1), torch.zeros_like(student)
    for token in range(7):

        def sampled(logits, token=token):
            return term(SAMPLED, logits, teacher, token, advantage_clip=1e9).loss_C

        average += probabilities[:, token, None] * gradient(sampled, student)
    torch.testing.assert_close(average, expected, rtol=1e-6, atol=1e-7)


def test_it_does_so_off_policy_too_when_tokens_are_weighed():
    student, teacher = (random_logits(seed, 6, 5, torch.float64) for seed in (5, 6))
    sampler = (0.9 * student).log_softmax(-1)
    expected, average = gradient(reverse_kl, student, teacher), torch.zeros_like(student)
    for token in range(5):

        def sampled(logits, token=token):
            return term(
                SAMPLED,
                logits,
                teacher,
                token,
                sampler[:, token],
                advantage_clip=1e9,
                importance=ImportanceMask(high=1e9, correction=Correction.TRUNCATE),
            ).loss_C

        average += sampler[:, token, None].exp() * gradient(sampled, student)
    torch.testing.assert_close(average, expected, rtol=1e-6, atol=1e-7)


@FORMS
def test_a_student_that_is_its_teacher_has_no_loss_and_no_gradient(divergence):
    logits = random_logits(7)
    assert term(divergence, logits, logits.clone()).loss_C.abs().max() == 0.0
    found = gradient(lambda student: term(divergence, student, logits).loss_C, logits)
    assert found.abs().max() == 0.0


@FORMS
def test_outcome_and_teacher_each_contribute_their_own_gradient(divergence):
    student, teacher = random_logits(8).requires_grad_(), random_logits(9)
    alone = gradient(lambda logits: term(divergence, logits, teacher).loss_C, student)
    found = term(divergence, student, teacher)
    outcome = policy_gradient(found.student_C, torch.full((8,), 3.0), found.importance.ratio_N)
    first = torch.autograd.grad(found.loss_C.sum(), student, retain_graph=True)[0]
    second = torch.autograd.grad(outcome.sum(), student)[0]
    torch.testing.assert_close(first, alone)
    expected = gradient(lambda logits: -3 * logits.log_softmax(-1)[:, 0], student)
    torch.testing.assert_close(second, expected)


@FORMS
def test_every_form_holds_one_tensor_of_the_chunks_size(divergence):
    student, teacher = random_logits(10, 512, 4096).requires_grad_(), random_logits(11, 512, 4096)
    settings = DistilSettings(divergence=divergence)
    chunk = Chunk(student, teacher, torch.zeros(512, dtype=torch.long), torch.zeros(512))

    def work():
        return torch.autograd.grad(teacher_term(chunk, settings, [1, 2]).loss_C.sum(), student)

    # The gradient, and blocks; the words of a top k are small beside them.
    size = student.numel() * 4
    assert size <= peak_bytes(work) <= 1.3 * size
