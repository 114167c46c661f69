"""What a teacher makes of rollouts, on distributions that are worked out by hand."""

import ast
import math

import pytest
import torch

from tasks.gate.measured import ProbeSettings
from tasks.gate.reading import _numbers, batches, read
from tasks.onpolicy.microbatch import ScoredRollout
from tests.support.refused import refused
from tests.support.tiny_models import rollout as made
from tests.support.tiny_models import tiny_model as tiny

HALF, TENTH = math.log(0.5), math.log(0.1)


def rollout(count):
    """Return a rollout of three prompt tokens and so many of the policy's."""
    ids = [5, 6, 7, *range(20, 20 + count)]
    return ScoredRollout(made(ids, range(3, len(ids))))


def test_divergences_and_overlap_of_two_distributions():
    student = torch.tensor([[0.5, 0.4, 0.1]]).log()
    teacher = torch.tensor([[0.1, 0.4, 0.5]]).log()
    found = _numbers(student, teacher, torch.tensor([0]), 2)
    expected = 0.5 * math.log(5) + 0.1 * math.log(1 / 5)
    assert float(found["kl"]) == pytest.approx(expected)
    assert float(found["forward_kl"]) == pytest.approx(expected)  # symmetric by construction
    assert float(found["overlap"]) == pytest.approx(0.5)  # {0, 1} and {2, 1}
    assert float(found["mass"]) == pytest.approx(0.5)  # the student on {2, 1}
    assert float(found["student"]) == pytest.approx(HALF)
    assert float(found["teacher"]) == pytest.approx(TENTH)


def test_a_teacher_that_is_the_student_differs_in_nothing():
    model = tiny()
    found = read(model, model, [rollout(4), rollout(9)], ProbeSettings(top_k=4), 0, str)
    assert found.kl == pytest.approx(0.0, abs=1e-6)
    assert found.overlap == 1.0
    assert found.tokens == 13
    assert found.finite
    assert found.unsteady == 0.0
    assert len(found.kl_course) == 5


def test_a_pass_has_at_most_sixteen_rollouts_and_4096_tokens():
    # 32 short ones, then two whose logits have room together, and one that has not beside another.
    scored = [rollout(7) for _ in range(32)] + [rollout(2045), rollout(2045), rollout(5000)]
    sizes = [pair.student.ids_BS.shape for pair in batches(scored, 0)]
    assert sizes == [(16, 10), (16, 10), (2, 2048), (1, 5003)]
    assert [len(pair.places) for pair in batches([rollout(4094), rollout(4094)], 0)] == [1, 1]


def test_a_lost_head_is_uniform_and_a_broken_one_not_finite():
    student, teacher = tiny(), tiny()
    with torch.no_grad():
        teacher.get_output_embeddings().weight.zero_()
    found = read(student, teacher, [rollout(6)], ProbeSettings(), 0, str)
    assert found.from_uniform == pytest.approx(0.0, abs=1e-5)
    assert found.teacher_entropy == pytest.approx(math.log(student.config.vocab_size), abs=1e-4)
    with torch.no_grad():
        teacher.get_output_embeddings().weight.fill_(math.nan)
    assert not read(student, teacher, [rollout(6)], ProbeSettings(), 0, str).finite


def test_the_worst_tokens_are_shown_in_their_context_one_of_each_rollout():
    student, teacher = tiny(seed=1), tiny(seed=2)
    rows = [rollout(5), rollout(7), rollout(3)]
    found = read(
        student, teacher, rows, ProbeSettings(worst_tokens=2), 0, lambda ids: f"{list(ids)}"
    )
    assert len(found.worst) == 2
    assert found.worst[0].kl >= found.worst[1].kl
    for token in found.worst:
        whole = [*ast.literal_eval(token.before), *ast.literal_eval(token.token)]
        whole += ast.literal_eval(token.after)
        assert whole in [list(row.rollout.ids) for row in rows]
    assert found.worst[0].before != found.worst[1].before or found.worst[0] != found.worst[1]


def test_rollouts_without_a_response_are_refused():
    model = tiny()
    with refused("empty-rollouts"):
        read(model, model, [], ProbeSettings(), 0, str)
