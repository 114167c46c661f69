"""The divergence on a few words: by hand, with and without its correction, and its limits."""

import math

import pytest
import torch

from tasks.mopd.losses.exact import divergence_stats, reverse_kl
from tasks.mopd.losses.top_k import corrected_reverse_kl, log_probs_at, mass, support_tokens
from tasks.mopd.settings import Support, TopK
from tests.support.objective_inputs import gradient, leaf, plain_reverse, random_logits
from tests.support.refused import refused

LN2 = math.log(2)
STUDENT = torch.tensor([[1 / 2, 1 / 4, 1 / 4]])
TEACHER = torch.tensor([[1 / 4, 1 / 4, 1 / 2]])
SUPPORTS = pytest.mark.parametrize("support", list(Support))


def divergence(student, teacher, k=1, support=Support.TEACHER, control=()):
    """Return the top-k divergence of each token, of logits."""
    support = support_tokens(student, teacher, TopK(k=k, support=support), control)
    stats = divergence_stats(student, teacher, support.ids_CK)
    student_CK = log_probs_at(student, support.ids_CK, stats.student_CK)
    return corrected_reverse_kl(student_CK, stats.teacher_CK, support.counted_CK)


def uncorrected(student, teacher, k=1):
    """Return sum p log(p / q) over the teacher's top k, as autograd alone would have it."""
    log_p, log_q = student.log_softmax(-1), teacher.log_softmax(-1)
    ids = teacher.topk(k, -1).indices
    p, q = log_p.gather(-1, ids), log_q.gather(-1, ids)
    return (p.exp() * (p - q)).sum(-1)


def counted(support):
    """Return the set of counted words of each token."""
    return [
        {word for word, counts in zip(*row, strict=True) if counts}
        for row in zip(support.ids_CK.tolist(), support.counted_CK.tolist(), strict=True)
    ]


def test_the_teachers_likeliest_word_of_three():
    student = leaf(STUDENT)
    # Word 2: p = 1/4, q = 1/2: 1/4 log(1/2) - 1/4 + 1/2.
    found = divergence(student, TEACHER.log())
    torch.testing.assert_close(found, torch.tensor([(1 - LN2) / 4]))
    found.sum().backward()
    # With c = p log(p / q) = -log(2) / 4 of word 2: -p_j c, and 1 c more for word 2 itself.
    expected = torch.tensor([[1 / 8, 1 / 16, -3 / 16]]) * LN2
    torch.testing.assert_close(student.grad, expected)


def test_the_students_likeliest_word_of_three():
    student = leaf(STUDENT)
    # Word 0: p = 1/2, q = 1/4: 1/2 log 2 - 1/2 + 1/4.
    found = divergence(student, TEACHER.log(), support=Support.STUDENT)
    torch.testing.assert_close(found, torch.tensor([LN2 / 2 - 1 / 4]))
    found.sum().backward()
    # With c = log(2) / 2: (1 - 1/2) c, -1/4 c, -1/4 c.
    torch.testing.assert_close(student.grad, torch.tensor([[1 / 4, -1 / 8, -1 / 8]]) * LN2)


def test_a_union_is_the_sum_of_its_words():
    found = divergence(STUDENT.log(), TEACHER.log(), support=Support.UNION)
    torch.testing.assert_close(found, torch.tensor([(1 - LN2) / 4 + LN2 / 2 - 1 / 4]))


def test_with_the_correction_the_teacher_is_a_minimum_and_without_it_is_not():
    teacher = torch.tensor([[1 / 2, 1 / 4, 1 / 4]]).log()
    assert uncorrected(teacher, teacher).item() == 0.0
    assert divergence(teacher, teacher).item() == 0.0
    # d/dp of p log(p / q) is 1 at p = q, so word 0's logit gets p (1 - p) = 1/4, others -p/2: a
    # student that is its teacher is told to make the teacher's likeliest word less likely.
    expected = torch.tensor([[1 / 4, -1 / 8, -1 / 8]])
    torch.testing.assert_close(gradient(uncorrected, teacher, teacher), expected)
    assert gradient(divergence, teacher, teacher).tolist() == [[0.0, 0.0, 0.0]]
    # And the value: a step on from the teacher, one is below 0, the other is above.
    moved = teacher - 0.1 * expected
    assert uncorrected(moved, teacher).item() < 0
    assert divergence(moved, teacher).item() > 0


@SUPPORTS
def test_a_student_that_is_its_teacher_has_no_loss_and_no_gradient(support):
    logits = random_logits(0, 16, 50)
    assert divergence(logits, logits.clone(), 7, support).abs().max() == 0.0
    found = gradient(divergence, logits, logits.clone(), 7, support)
    assert found.abs().max() == 0.0


@SUPPORTS
def test_following_the_gradient_leads_to_the_teacher_on_the_support(support):
    teacher = random_logits(1, 1, 6, torch.float64)
    student = random_logits(2, 1, 6, torch.float64)
    for _ in range(500):
        student = student - 3.0 * gradient(divergence, student, teacher, 3, support)
    assert divergence(student, teacher, 3, support).item() < 1e-6
    support = teacher.topk(3, -1).indices
    p, q = student.log_softmax(-1).gather(-1, support), teacher.log_softmax(-1).gather(-1, support)
    torch.testing.assert_close(p.exp(), q.exp(), rtol=1e-2, atol=1e-3)


@SUPPORTS
def test_all_words_are_the_whole_vocabulary(support):
    student, teacher = (random_logits(seed, 9, 12, torch.float64) for seed in (3, 4))
    everything = divergence(student, teacher, 12, support)
    torch.testing.assert_close(everything, reverse_kl(student, teacher))
    found = gradient(divergence, student, teacher, 12, support)
    torch.testing.assert_close(found, gradient(plain_reverse, student, teacher))


@SUPPORTS
def test_fewer_words_are_between_nothing_and_the_whole(support):
    student, teacher = random_logits(5, 64, 40), random_logits(6, 64, 40)
    last = torch.zeros(64)
    for k in (1, 5, 20, 40):
        found = divergence(student, teacher, k, support)
        assert (found >= last - 1e-6).all()
        last = found
    torch.testing.assert_close(last, reverse_kl(student, teacher), rtol=1e-4, atol=1e-5)


@SUPPORTS
def test_a_gradient_is_what_finite_differences_find(support):
    student, teacher = (random_logits(seed, 4, 7, torch.float64) for seed in (7, 8))

    def objective(logits):
        return divergence(logits, teacher, 3, support, control=(0, 6))

    assert torch.autograd.gradcheck(objective, [student.requires_grad_()])


# Student's top two are the words 0 and 1, the teacher's 1 and 2.
STUDENT_RANKS = torch.tensor([[5.0, 4, 3, 2, 1]])
TEACHER_RANKS = torch.tensor([[1.0, 5, 4, 2, 3]])


@pytest.mark.parametrize(
    ("support", "tokens"),
    [(Support.TEACHER, {1, 2}), (Support.STUDENT, {0, 1}), (Support.UNION, {0, 1, 2})],
)
@pytest.mark.parametrize("control", [(), (4,), (1, 4)])
def test_the_support_is_the_likeliest_words_and_the_control_tokens(support, tokens, control):
    found = support_tokens(STUDENT_RANKS, TEACHER_RANKS, TopK(k=2, support=support), control)
    assert counted(found) == [tokens | set(control)]
    # Word 1 of the teacher's two is among the student's two.
    assert found.overlap_C.tolist() == [0.5]


@SUPPORTS
def test_no_token_counts_twice(support):
    student, teacher = random_logits(9, 32, 20), random_logits(10, 32, 20)
    tokens = support_tokens(student, teacher, TopK(k=8, support=support), [3, 11])
    of_student, of_teacher = (
        [set(row) for row in logits.topk(8, -1).indices.tolist()] for logits in (student, teacher)
    )
    chosen = {
        Support.TEACHER: of_teacher,
        Support.STUDENT: of_student,
        Support.UNION: [s | t for s, t in zip(of_student, of_teacher, strict=True)],
    }[support]
    assert counted(tokens) == [row | {3, 11} for row in chosen]
    assert tokens.counted_CK.sum(-1).tolist() == [len(row | {3, 11}) for row in chosen]
    shared = [len(s & t) / 8 for s, t in zip(of_student, of_teacher, strict=True)]
    assert tokens.overlap_C.tolist() == shared


def test_a_control_token_that_no_top_k_holds_is_corrected():
    # Word 2 is out of both top ones: only as a control token does it get a say.
    student, teacher = torch.tensor([[0.7, 0.25, 0.05]]), torch.tensor([[0.7, 0.05, 0.25]])
    assert gradient(divergence, student.log(), teacher.log()).abs().max() < 1e-6
    pulled = gradient(divergence, student.log(), teacher.log(), 1, Support.TEACHER, (2,))
    assert pulled[0, 2] < 0 < pulled[0, 1]


def test_the_mass_of_a_support_is_the_probability_of_its_words():
    support = support_tokens(STUDENT.log(), TEACHER.log(), TopK(k=1, support=Support.UNION), [2])
    stats = divergence_stats(STUDENT.log(), TEACHER.log(), support.ids_CK)
    # Words 0 and 2, the latter named twice: 1/2 + 1/4 and 1/4 + 1/2.
    assert mass(stats.student_CK, support.counted_CK).item() == pytest.approx(3 / 4)
    assert mass(stats.teacher_CK, support.counted_CK).item() == pytest.approx(3 / 4)


@SUPPORTS
def test_words_that_are_ruled_out_cost_their_teachers_mass_and_get_no_gradient(support):
    student, teacher = STUDENT.log(), TEACHER.log()
    student, teacher = (
        torch.cat([x, torch.tensor([[-torch.inf]])], -1) for x in (student, teacher)
    )
    found = divergence(student, teacher, 4, support)
    torch.testing.assert_close(found, reverse_kl(STUDENT.log(), TEACHER.log()))
    back = gradient(divergence, student, teacher, 4, support)
    assert back.isfinite().all()
    assert back[0, 3] == 0.0


def test_a_k_above_the_vocabulary_is_refused():
    with refused("top-k-above-vocabulary", "4", "3"):
        divergence(STUDENT.log(), TEACHER.log(), k=4)


@pytest.mark.parametrize("control", [(3,), (-1,)])
def test_a_control_id_outside_the_vocabulary_is_refused(control):
    with refused("control-id-outside-vocabulary"):
        divergence(STUDENT.log(), TEACHER.log(), control=control)
