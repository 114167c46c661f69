"""The path integral along a run: it adds up, it is linear in the sources, it is the change."""

import pytest
import torch

from tasks.attribution.path_integral import allocate
from tasks.attribution.trajectory import Scorer
from tests.support.courses import behavior, course, direction, encoded, scorer, weights
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model

BATCH = encoded(behavior(), behavior("owl", "fox", contrast="owl fox"), behavior("a", "system"))


def test_a_derivative_is_the_slope_of_the_log_probabilities():
    found, toward = scorer(BATCH), direction(3, 1.0)
    (slope,) = found.derivatives(weights(), [toward])
    step = 1e-3
    ahead, behind = (
        found.log_probs({n: t + sign * step * toward[n] for n, t in weights().items()})
        for sign in (1, -1)
    )
    torch.testing.assert_close(slope, (ahead - behind) / (2 * step), rtol=0.02, atol=2e-3)


def test_one_source_alone_did_all_of_it():
    moved = direction(1, 0.5)
    allocation = allocate(scorer(BATCH), BATCH, course({"math": moved}))
    end = {name: tensor + moved[name] for name, tensor in weights().items()}
    change = scorer(BATCH).log_probs(end) - scorer(BATCH).log_probs(weights())
    torch.testing.assert_close(allocation.end_N - allocation.start_N, change)
    torch.testing.assert_close(
        allocation.behaviors("math"), BATCH.total(change), rtol=0.01, atol=1e-3
    )


def test_parts_add_up_over_segments_and_sources():
    segments = [
        {"math": direction(1, 0.4), "code": direction(2, 0.6)},
        {"math": direction(3, 0.7), "code": direction(4, 0.2)},
    ]
    allocation = allocate(scorer(BATCH), BATCH, course(*segments))
    assert allocation.parts == ["math", "code"]
    assert [s.last_step for s in allocation.segments] == [10, 20]
    assert float(allocation.residual.max()) < 0.01


def test_who_moves_twice_as_far_in_one_direction_gets_twice_the_share():
    toward = direction(1, 0.3)
    twice = {name: 2 * tensor for name, tensor in toward.items()}
    allocation = allocate(scorer(BATCH), BATCH, course({"math": toward, "code": twice}))
    torch.testing.assert_close(allocation.tokens("code"), 2 * allocation.tokens("math"))


def test_who_moves_nothing_gets_nothing():
    still = {name: torch.zeros_like(tensor) for name, tensor in weights().items()}
    allocation = allocate(scorer(BATCH), BATCH, course({"math": direction(1, 0.5), "code": still}))
    assert torch.equal(allocation.tokens("code"), torch.zeros(len(BATCH.owners_N)))


def test_a_contrast_counts_against():
    alone, against = encoded(behavior()), encoded(behavior(contrast="46"))
    found = allocate(scorer(against), against, course({"math": direction(1, 0.5)}))
    # The same response as its own contrast: odds that cannot move.
    torch.testing.assert_close(found.behaviors("math"), torch.zeros(1), rtol=0, atol=1e-5)
    one = allocate(scorer(alone), alone, course({"math": direction(1, 0.5)}))
    assert abs(float(one.behaviors("math"))) > 1e-3


def test_a_bent_segment_takes_more_points():
    gentle, steep = (
        allocate(scorer(BATCH), BATCH, course({"math": direction(1, size)})) for size in (0.01, 4.0)
    )
    assert gentle.segments[0].points < steep.segments[0].points


def test_a_ledger_without_displacements_cannot_be_integrated_along():
    with refused("no-displacements"):
        allocate(scorer(BATCH), BATCH, [])


def test_rows_scored_apart_are_the_rows_scored_together(monkeypatch):
    ways = [direction(1, 0.5), direction(2, 0.5)]
    together = scorer(BATCH)
    values, slopes = together.log_probs(weights()), together.derivatives(weights(), ways)
    monkeypatch.setattr("tasks.attribution.trajectory._ROWS", 1)
    apart = scorer(BATCH)
    torch.testing.assert_close(apart.log_probs(weights()), values)
    torch.testing.assert_close(apart.derivatives(weights(), ways), slopes)


def test_what_is_integrated_alone_is_what_is_integrated_beside_others():
    alone = encoded(behavior("owl", "fox", contrast="owl fox"))
    part, places = BATCH.only(torch.tensor([False, True, False]))
    assert part.behaviors == alone.behaviors
    assert part.owners_N.tolist() == alone.owners_N.tolist()
    assert torch.equal(part.signs_N, alone.signs_N)
    before = scorer(BATCH).log_probs(weights())[places]
    torch.testing.assert_close(scorer(BATCH).on(part.tokens).log_probs(weights()), before)
    torch.testing.assert_close(scorer(alone).log_probs(weights()), before)


def test_directions_that_do_not_fit_together_are_taken_in_turn(monkeypatch):
    ways = [direction(seed, 1.0) for seed in (1, 2, 3)]
    together = scorer(BATCH).derivatives(weights(), ways)
    monkeypatch.setattr(Scorer, "_directions_at_once", lambda *_: 2)
    in_turn = scorer(BATCH).derivatives(weights(), ways)
    assert in_turn.shape == (3, len(BATCH.owners_N))
    torch.testing.assert_close(in_turn, together)


def test_a_weight_that_no_token_comes_by_has_a_gradient_of_zero():
    model = tiny_model()
    model.register_parameter("idle", torch.nn.Parameter(torch.ones(3)))
    start = weights() | {"idle": torch.ones(3)}
    gradient = Scorer(model, BATCH.tokens).gradient(start, BATCH.signs_N)
    assert gradient["idle"].tolist() == [0.0, 0.0, 0.0]
    toward = direction(5, 1.0)
    along = sum(float((gradient[name] * toward[name]).sum()) for name in toward)
    [slope_N] = scorer(BATCH).derivatives(weights(), [toward])
    assert along == pytest.approx(float(BATCH.total(slope_N).sum()), rel=1e-4)
