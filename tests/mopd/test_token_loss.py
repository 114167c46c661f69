"""The loss of a chunk by source, and what it reports of the mechanisms; worked out by hand."""

import math

import pytest
import torch

from tasks.mopd.losses.token_loss import RoutedChunk, token_loss
from tasks.mopd.settings import DistilSettings, Divergence, TopK
from tasks.onpolicy.step_metrics import MomentSums

LN2 = math.log(2)
STUDENT, TEACHER = [1 / 4, 1 / 4, 1 / 4, 1 / 4], [1 / 8, 1 / 2, 1 / 4, 1 / 8]
PRECURSOR, INITIAL_STUDENT = [1 / 4, 1 / 4, 1 / 4, 1 / 4], [1 / 2, 1 / 4, 1 / 8, 1 / 8]


def chunk(update_index=0, sampled=1 / 4, device="cpu"):
    """Return a chunk of one token, word 1, which the sampler gave this probability."""
    student, teacher, precursor, start = (
        torch.tensor([p], device=device).log()
        for p in (STUDENT, TEACHER, PRECURSOR, INITIAL_STUDENT)
    )
    return RoutedChunk(
        teacher="m",
        student_CV=student.requires_grad_(),
        teacher_CV=teacher,
        precursor_CV=precursor,
        start_CV=start,
        tokens_C=torch.tensor([1], device=device),
        sampler_log_probs_C=torch.tensor([sampled], device=device).log(),
        outcome_advantages_C=torch.tensor([1.0], device=device),
        update_index=update_index,
    )


def test_three_sources_are_weighed_by_one_importance_ratio():
    settings = DistilSettings(outcome_weight=0.5, reference_weight=0.25)
    loss = token_loss(chunk(sampled=1 / 8), settings, [])
    # 1/4 over 1/8 is 2. KL to the teacher and to the start: log 2 / 4 each. -log p is 2 log 2.
    expected = {"m": 2 * LN2 / 4, "outcome": 2 * 0.5 * 2 * LN2, "reference": 2 * 0.25 * LN2 / 4}
    assert {source: t.item() for source, t in loss.by_source.items()} == pytest.approx(expected)
    # log 1/2 - log 1/4 of word 1 to its teacher; log 1/4 - log 1/4 to the start.
    assert loss.log_ratio_C.tolist() == pytest.approx([LN2])
    advantages = {source: t.item() for source, t in loss.advantages.items()}
    assert advantages == pytest.approx({"m": LN2, "outcome": 0.5, "reference": 0.0})


@pytest.mark.parametrize(
    ("settings", "activity"),
    [
        # |2 - 1|
        ({}, {"importance": 1.0}),
        # An advantage of log 2 is cut to 0.5.
        (
            {"divergence": Divergence.SAMPLED_TOKEN, "advantage_clip": 0.5},
            {"importance": 1.0, "advantage_clip": 1.0},
        ),
        # Start times teacher over precursor: 4, 8, 2, 1 of 15; log 8/15 against log 1/2.
        ({"delta_teachers": ("m",)}, {"importance": 1.0, "delta": math.log(16 / 15)}),
        # Word 1 has 1/4 under both: the reference wants nothing of it.
        ({"reference_weight": 0.5}, {"importance": 1.0, "reference": 0.0}),
    ],
)
def test_each_mechanism_reports_how_much_it_bound(settings, activity):
    loss = token_loss(chunk(sampled=1 / 8), DistilSettings(**settings), [])
    found = {name: bound.item() for name, bound in loss.activity.items()}
    assert found == pytest.approx(activity, rel=1e-4)
    assert not any(bound.requires_grad for bound in loss.activity.values())


def test_only_a_later_inner_update_reports_how_far_the_policy_has_moved():
    first, second = (token_loss(chunk(i, 1 / 8), DistilSettings(), []) for i in (0, 1))
    assert "refresh" not in first.activity
    assert second.activity["refresh"].item() == pytest.approx(LN2)


@pytest.mark.parametrize("divergence", list(Divergence))
def test_nothing_of_a_chunk_is_read_on_an_accelerator(divergence):
    # A tensor on the meta device holds no number: to read one, for which the host would wait,
    # raises.
    top_k = TopK(k=2) if divergence is Divergence.TOP_K else TopK()
    settings = DistilSettings(
        divergence=divergence, top_k=top_k, outcome_weight=0.5, reference_weight=0.5
    )
    loss = token_loss(chunk(1, device="meta"), settings, [0])
    sums = MomentSums()
    sums.add("m", loss.log_ratio_C)
    sum(loss_C.sum() for loss_C in loss.by_source.values()).backward()
    with pytest.raises((RuntimeError, NotImplementedError)):
        sums.moments()


def test_it_gives_the_same_whatever_was_computed_before():
    settings = DistilSettings(outcome_weight=0.5, reference_weight=0.5)
    alone = token_loss(chunk(), settings, [])
    token_loss(chunk(1, 1 / 8), settings, [])
    again = token_loss(chunk(), settings, [])
    for source, loss_C in alone.by_source.items():
        assert torch.equal(again.by_source[source], loss_C)
    assert again.activity == alone.activity
