"""A step's updates: how often a rollout is learned from, and what its tokens weigh in each."""

import pytest
import torch

from tasks.model.log_probs import token_log_probs
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.microbatch import ADVANTAGE, ScoredRollout
from tasks.onpolicy.objective import TokenLoss
from tasks.onpolicy.policy_gradient import importance
from tasks.onpolicy.settings import Correction, ImportanceMask, LoopSettings, Normalization
from tasks.onpolicy.step_plan import plan_step, split_for_updates
from tests.support.refused import invalid
from tests.support.tiny_models import rollout, tiny_model

LENGTHS = (1, 2, 3, 6)
ROLLOUTS = [rollout([9, *range(10, 10 + n)], range(1, n + 1)) for n in LENGTHS]
SCORED = [ScoredRollout(item) for item in ROLLOUTS]


class Recorder:
    """Makes tokens likelier, and keeps every microbatch with the log-probabilities it had."""

    def __init__(self):
        self.batches, self.own, self.ended = [], [], 0

    def begin_step(self, step, updates):
        self.announced = updates

    def end_step(self, step):
        self.ended += 1
        return {"ended": float(self.ended)}

    def prepare(self, batch):
        self.batches.append(batch)
        self.own.append(batch.student_log_probs())

        def losses(student_CV, chunk):
            student_C = token_log_probs(student_CV, batch.tokens.tokens_N[chunk])
            self.seen = student_C.detach()
            return TokenLoss({"outcome": -student_C})

        return losses


def learner(**settings):
    told = {"num_steps": 1, "learning_rate": 1e-3, "warmup_steps": 0}
    return Learner(tiny_model(), LoopSettings(**told | settings), 1.0, 0, ["outcome"])


def updates(recorder):
    """Return the lengths of the rollouts of each update."""
    found = {}
    for batch in recorder.batches:
        lengths = [item.rollout.num_response_tokens for item in batch.items]
        found.setdefault(batch.update_index, []).extend(lengths)
    return [sorted(found[index]) for index in sorted(found)]


def test_each_epoch_learns_from_every_rollout_once_in_another_order():
    recorder = Recorder()
    learner(inner_updates=2, inner_epochs=2).update(recorder, SCORED, step=1)
    first, second, third, fourth = updates(recorder)
    assert sorted(first + second) == sorted(third + fourth) == list(LENGTHS)
    assert [first, second] != [third, fourth]
    assert len(recorder.announced) == 4


def test_one_epoch_deals_as_it_did_before_there_were_several():
    assert split_for_updates(SCORED, 2, 3) == split_for_updates(SCORED, 2, 3, epoch=0)


def test_settings_with_one_epoch_are_recorded_as_before():
    settings = LoopSettings(num_steps=1, learning_rate=1e-3)
    assert "inner_epochs" not in settings.model_dump(mode="json")
    assert LoopSettings(**settings.model_dump() | {"inner_epochs": 2}).updates_per_step == 2


def test_a_step_of_the_global_batch_weighs_each_of_its_tokens_alike():
    recorder, mean = Recorder(), Recorder()
    learner(inner_updates=2, normalization="global_batch").update(recorder, SCORED, step=1)
    learner(inner_updates=2, normalization="token_mean").update(mean, SCORED, step=1)
    # 12 tokens in two updates: 1 / 6 each, whichever update; a mean is over its update's own.
    weights = torch.cat([batch.weights_N for batch in recorder.batches])
    torch.testing.assert_close(weights, torch.full((12,), 1 / 6))
    assert len({round(float(batch.weights_N[0]), 6) for batch in mean.batches}) == 2


def test_a_global_batch_of_one_update_is_refused_because_it_is_the_mean():
    with invalid("no-effect", "global_batch"):
        LoopSettings(num_steps=1, learning_rate=1e-3, normalization="global_batch")


def test_a_step_without_rollouts_has_no_update_and_still_ends():
    recorder, made = Recorder(), learner()
    before = [p.detach().clone() for p in made.model.parameters()]
    assert made.update(recorder, [], step=1) == {"skipped_update": 1.0, "ended": 1.0}
    assert all(torch.equal(a, b) for a, b in zip(before, made.model.parameters(), strict=True))


def test_fewer_rollouts_than_updates_give_as_many_updates_as_rollouts():
    assert [len(part) for part in split_for_updates(SCORED[:2], 5, 1)] == [1, 1]


def test_every_term_of_the_loss_has_weights_that_sum_to_one():
    rows = [*SCORED, ScoredRollout(rollout([1, 2, 3], [1, 2]), "text", term="text")]
    plan = plan_step(rows, Normalization.TOKEN_MEAN, 1000, pad_id=0)
    sums = {"": 0.0, "text": 0.0}
    for batch in plan:
        sums[batch.term] += float(batch.weights_N.sum())
    assert sums == pytest.approx({"": 1.0, "text": 1.0})


def test_an_advantage_of_each_token_replaces_the_rollouts():
    one, other = (rollout([9, 10, 11], [1, 2]) for _ in range(2))
    rows = [
        ScoredRollout(one, numbers={ADVANTAGE: (1.0, 2.0), "old": (4, 5)}),
        ScoredRollout(other, outcome_advantage=7.0, numbers={"old": (8, 9)}),
    ]
    (batch,) = plan_step(rows, Normalization.TOKEN_MEAN, 1000, pad_id=0)
    assert batch.outcome_advantages_N.tolist() == [1.0, 2.0, 7.0, 7.0]
    assert batch.numbers_N["old"].tolist() == [4.0, 5.0, 8.0, 9.0]
    assert ADVANTAGE not in batch.numbers_N, "not every rollout of the microbatch has one"


def test_a_microbatch_brings_the_log_probabilities_that_its_chunks_will_have():
    recorder = Recorder()
    learner().update(recorder, SCORED[2:3], step=1)
    torch.testing.assert_close(recorder.own[0], recorder.seen)


def test_without_a_correction_every_token_weighs_one():
    mask = ImportanceMask(correction=Correction.NONE)
    weight = importance(torch.tensor([0.0, -9.0]), torch.tensor([-9.0, 0.0]), mask)
    assert weight.ratio_N.tolist() == [1.0, 1.0]
    assert not weight.dropped_N.any()
    for bound in ({"low": 0.5}, {"high": 2.0}):
        with invalid("no-effect", *bound):
            ImportanceMask(correction=Correction.NONE, **bound)
