"""Estimators side by side: what each needs to see before it names a teacher."""

import pytest
import torch

from benchmarks.attribution.estimators import (
    log_ratio,
    min_of_integral_and_ratio,
    path_integral,
    rehearsed,
    rehearsed_with_slopes,
    tracin,
)
from tasks.attribution.estimators import (
    EstimatorInput,
    bounded_first_order,
    domain_owner,
    first_order,
    surgery_effect,
)
from tasks.attribution.trajectory import Scorer
from tests.support.courses import behavior, course, direction, encoded, scorer, weights

BATCH = encoded(behavior(domain="math"), behavior("owl", "fox", domain="chat"))
MOVED = direction(1, 0.5)
STILL = {name: torch.zeros_like(tensor) for name, tensor in weights().items()}


def at(moved):
    return {name: tensor + moved[name] for name, tensor in weights().items()}


def evidence(math, code, *, math_says, code_says):
    """Return a run of one segment; each teacher has weights of its own beside what it moved."""
    stretches = list(course({"math": math, "code": code}))
    return EstimatorInput(
        BATCH,
        scorer(BATCH),
        lambda: stretches,
        (stretches[0].segment,),
        {"math": lambda: at(math_says), "code": lambda: at(code_says)},
        {"math": "math"},
    )


def change(moved):
    found = scorer(BATCH)
    return BATCH.total(found.log_probs(at(moved)) - found.log_probs(weights()))


@pytest.mark.medium
@pytest.mark.parametrize("estimator", [path_integral, surgery_effect])
def test_a_teacher_that_alone_moved_gets_all_of_the_change(estimator):
    seen = evidence(MOVED, STILL, math_says=STILL, code_says=MOVED)
    found = estimator(seen)
    torch.testing.assert_close(found["math"], change(MOVED), rtol=0.01, atol=1e-3)
    assert found["code"].tolist() == [0.0, 0.0]


def test_only_teachers_have_a_log_ratio():
    seen = evidence(MOVED, STILL, math_says=STILL, code_says=MOVED)
    found = log_ratio(seen)
    assert found["math"].tolist() == [0.0, 0.0]
    torch.testing.assert_close(found["code"], change(MOVED))


def test_a_named_teacher_moved_the_student_and_prefers_the_behavior():
    up = MOVED if float(change(MOVED)[0]) > 0 else {n: -t for n, t in MOVED.items()}
    for moved, says, told in ((up, STILL, 0.0), (STILL, up, 0.0), (up, up, float(change(up)[0]))):
        seen = evidence(moved, STILL, math_says=says, code_says=STILL)
        found = float(min_of_integral_and_ratio(seen)["math"][0])
        assert found == pytest.approx(told, rel=0.01, abs=1e-4)


def test_tracin_is_the_slope_where_the_segment_begins():
    small = direction(2, 1e-3)
    seen = evidence(small, STILL, math_says=STILL, code_says=STILL)
    torch.testing.assert_close(tracin(seen)["math"], change(small), rtol=0.05, atol=1e-5)


def test_slopes_by_backward_passes_are_those_along_the_directions(monkeypatch):
    batch = encoded(behavior(), behavior("owl", "fox", contrast="owl fox"), behavior("a", "system"))
    stretches = list(course({"math": direction(1, 0.3), "code": direction(2, 0.6)}))
    seen = EstimatorInput(batch, scorer(batch), lambda: stretches, (stretches[0].segment,), {}, {})
    forward, _ = first_order(seen)
    monkeypatch.setattr(Scorer, "derivatives", None)  # the other way has no use for it
    monkeypatch.setattr("tasks.attribution.estimators._MANY_BYTES", 0)
    backward, _ = first_order(seen)
    assert {name: slope_B.shape for name, slope_B in backward.items()} == {
        "math": (3,),
        "code": (3,),
    }
    for name, slope_B in forward.items():
        torch.testing.assert_close(backward[name], slope_B, rtol=1e-4, atol=1e-5)


def test_one_behavior_takes_one_backward_pass(monkeypatch):
    batch = encoded(behavior())
    stretches = list(course({"math": direction(1, 0.3)}))
    seen = EstimatorInput(batch, scorer(batch), lambda: stretches, (stretches[0].segment,), {}, {})
    expected_N = scorer(batch).derivatives(stretches[0].start, [stretches[0].parts["math"]])[0]
    monkeypatch.setattr(Scorer, "derivatives", None)
    found, _ = first_order(seen)
    torch.testing.assert_close(found["math"], batch.total(expected_N), rtol=1e-4, atol=1e-5)


def test_no_absence_makes_a_response_surer_than_certain():
    """Where TracIn tells more than the student has left to win, that is what is told."""
    up = steepest()
    there, back = ({n: size * t for n, t in up.items()} for size in (3, -1))
    seen = evidence(there, back, math_says=STILL, code_says=STILL)
    found, slopes = bounded_first_order(seen), tracin(seen)
    ended = float(BATCH.total(scorer(BATCH).log_probs(at({n: 2 * t for n, t in up.items()})))[0])
    assert float(slopes["code"][0]) < ended < 0 < float(slopes["math"][0])
    assert float(found["code"][0]) == pytest.approx(ended)
    torch.testing.assert_close(found["math"][0], slopes["math"][0])


def steepest():
    """Return a unit step up the first behavior's gradient."""
    start = {name: tensor.requires_grad_() for name, tensor in weights().items()}
    BATCH.total(scorer(BATCH).with_gradient(start))[0].backward()
    norm = torch.stack([t.grad.square().sum() for t in start.values()]).sum().sqrt()
    return {name: tensor.grad / norm for name, tensor in start.items()}


def test_log_odds_against_a_contrast_have_no_such_bound():
    batch = encoded(behavior(contrast="47"))
    stretches = list(course({"math": direction(3, 8), "code": direction(4, 8)}))
    seen = EstimatorInput(
        batch, scorer(batch), lambda: stretches, (stretches[0].segment,), {}, {"math": "math"}
    )
    found, slopes = bounded_first_order(seen), tracin(seen)
    ended = float(batch.total(scorer(batch).log_probs(stretches[0].at(1.0)))[0])
    assert min(float(slope[0]) for slope in slopes.values()) < ended
    for source, slope_B in slopes.items():
        torch.testing.assert_close(found[source], slope_B)


def test_a_rehearsals_baseline_is_the_mean_of_the_student_and_the_rehearsal_with_all():
    seen = evidence(MOVED, STILL, math_says=STILL, code_says=STILL)
    ends = {(): at(STILL), ("math",): at(direction(5, 0.5)), ("code",): at(MOVED)}
    found = rehearsed(seen, lambda masked: ends[tuple(masked)])
    torch.testing.assert_close(found["code"], -change(MOVED) / 2)
    torch.testing.assert_close(found["math"], change(MOVED) / 2 - change(direction(5, 0.5)))
    both = rehearsed_with_slopes(seen, lambda masked: ends[tuple(masked)])
    slopes = bounded_first_order(seen)
    torch.testing.assert_close(10 * (both["math"] - found["math"]), slopes["math"])


def test_the_owner_is_named_by_domain_only():
    seen = evidence(MOVED, STILL, math_says=STILL, code_says=STILL)
    found = domain_owner(seen)
    assert (found["math"].tolist(), found["code"].tolist()) == ([1.0, 0.0], [0.0, 0.0])
