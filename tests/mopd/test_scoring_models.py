"""Delta targets and the reference KL: by hand, who is asked, and what is refused."""

import math

import pytest
import torch

from tasks.mopd.losses.anchored import reference_term
from tasks.mopd.round_models import INITIAL_STUDENT, precursor_name, scoring_models
from tasks.mopd.routing import Route, Routing
from tasks.mopd.settings import DistilSettings, Divergence
from tasks.onpolicy.feature_checks import FeatureCheckError
from tests.mopd.test_objective import (
    BY_NAME,
    LN2,
    TEACHERS,
    Constant,
    losses,
    objective,
    of_domain,
    total,
)
from tests.support.refused import raised, refused

START_SAYS = [1 / 2, 1 / 4, 1 / 8, 1 / 8]
BEFORE = [1 / 4, 1 / 4, 1 / 4, 1 / 4]
CAST = {**TEACHERS, INITIAL_STUDENT: START_SAYS, precursor_name("m"): BEFORE}


def test_a_delta_teacher_asks_for_its_delta_on_the_students_start():
    told = objective(teachers=Constant(**CAST), delta_teachers=("m",))
    found = losses(told, [of_domain("math"), of_domain("code")])
    # Start times teacher over precursor is 4, 8, 2, 1 of 15, and the student has 1/4 of word 1.
    torch.testing.assert_close(
        total(found["m"][0]), torch.tensor([math.log(32 / 15) * 2 * LN2]), rtol=1e-5, atol=1e-6
    )
    # The other teacher is itself.
    torch.testing.assert_close(total(found["c"][0]), torch.tensor([-LN2 * 2 * LN2]))
    target = torch.tensor([[4 / 15, 8 / 15, 2 / 15, 1 / 15]])
    torch.testing.assert_close(found["m"][0].target_CV.exp(), target, rtol=1e-5, atol=1e-6)
    # Its health is its own: log 1/2 is log 2 above that of a model that knows nothing.
    torch.testing.assert_close(found["m"][0].report["from_uniform"], torch.tensor([LN2]))
    # Beside its teacher's log 1/2 the target's is log 8/15.
    metrics = told.end_step(1)
    assert metrics["mechanism/delta/bound"] == pytest.approx(math.log(16 / 15), rel=1e-4)


def test_only_the_models_of_a_microbatch_score_it():
    teachers = Constant(**CAST)
    told = objective(teachers=teachers, delta_teachers=("m",))
    losses(told, [of_domain("math"), of_domain("code")])
    asked = ["c", "m", precursor_name("m"), INITIAL_STUDENT]
    assert [voice for voice, _ in teachers.asked] == teachers.expected == asked
    both = DistilSettings(delta_teachers=("m",), reference_weight=1.0)
    assert scoring_models("m", both) == asked[1:]
    assert scoring_models("c", both) == ["c", INITIAL_STUDENT]
    assert scoring_models("m", DistilSettings()) == ["m"]


def test_the_reference_kl_and_its_gradient_by_hand():
    student = torch.tensor([BEFORE]).log().requires_grad_()
    start, token = torch.tensor([START_SAYS]).log(), torch.tensor([0])
    found = reference_term(student, start, token, torch.tensor([2.0]), weight=0.5)
    # KL of quarters from 1/2, 1/4, 1/8, 1/8: (-log 2 + 0 + log 2 + log 2) / 4.
    torch.testing.assert_close(found.kl_C, torch.tensor([LN2 / 4]))
    torch.testing.assert_close(found.loss_C, torch.tensor([LN2 / 4]))
    torch.testing.assert_close(found.advantage_C, torch.tensor([0.5 * LN2]))
    found.loss_C.sum().backward()
    # p_j (log p_j - log q_j - KL): quarters of -5/4, -1/4, 3/4, 3/4 of log 2.
    expected = torch.tensor([[-5.0, -1.0, 3.0, 3.0]]) * LN2 / 16
    torch.testing.assert_close(student.grad, expected)


@pytest.mark.parametrize("divergence", list(Divergence))
def test_the_reference_is_a_source_of_its_own_beside_any_teacher(divergence):
    told = objective(divergence, teachers=Constant(**CAST), reference_weight=0.5)
    assert told.sources == ["c", "m", "reference"]
    assert told.extra_sources == 1
    # Sampled with 1/8, so that the token weighs twice: 2 x 0.5 x log 2 / 4.
    loss, logits = losses(told, [of_domain("math", sampled=1 / 8)])["m"]
    torch.testing.assert_close(loss.by_source["reference"], torch.tensor([LN2 / 4]))
    torch.testing.assert_close(loss.report["reference_kl"], torch.tensor([LN2 / 4]))
    loss.by_source["reference"].sum().backward(retain_graph=True)
    expected = torch.tensor([[-5.0, -1.0, 3.0, 3.0]]) * LN2 / 16
    torch.testing.assert_close(logits.grad, expected)


def test_outcome_and_reference_are_two_more_backwards():
    told = objective(teachers=Constant(**CAST), reference_weight=0.5, outcome_weight=1.0)
    assert told.sources == ["c", "m", "outcome", "reference"]
    assert told.extra_sources == 2


def test_a_student_that_never_moves_from_the_reference_is_an_error():
    told = objective(teachers=Constant(**CAST), reference_weight=0.5)
    for step in (1, 2):
        losses(told, [of_domain("math")], student=START_SAYS)
        if step == 1:
            told.end_step(step)
    with raised(FeatureCheckError, "no-effect", "'reference'"):
        told.end_step(2)


@pytest.mark.parametrize(
    ("settings", "code", "name"),
    [
        ({"reference_weight": 0.1}, "model-not-loaded", INITIAL_STUDENT),
        ({"delta_teachers": ("m",)}, "model-not-loaded", precursor_name("m")),
        ({"delta_teachers": ("x",)}, "unknown-teacher", "delta"),
        ({"masked": ("x",)}, "unknown-teacher", "masked"),
    ],
)
def test_who_is_not_there_is_named_before_the_first_rollout(settings, code, name):
    with refused(code, name):
        objective(**settings)


def test_a_teacher_may_not_be_called_as_another_source_is():
    with refused("reserved-name", "'reference'"):
        objective(
            routing=Routing([Route("math", "reference")]), teachers=Constant(reference=BEFORE)
        )


def test_a_masked_delta_teacher_need_not_act():
    told = objective(teachers=Constant(**CAST), delta_teachers=("m",), masked=("m",))
    assert "delta" not in told.feature_checks.names
    assert BY_NAME.teachers == ["c", "m"]
