"""One update, and the loop around it: accumulation, clipping, warm-up, reports, hooks."""

import math
from types import SimpleNamespace

import pytest
import torch

from tasks.model.log_probs import token_log_probs
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.loop import LoopCallbacks, rollout_metrics, train
from tasks.onpolicy.microbatch import ScoredRollout
from tasks.onpolicy.objective import TokenLoss
from tasks.onpolicy.settings import LoopSettings, Normalization
from tests.support.tiny_models import rollout, tiny_model

ROLLOUTS = [
    rollout([10, 11, 12, 13], [2, 3], domain="math"),
    rollout([20, 21, 22, 23, 24, 25], [2, 5], domain="code"),
    rollout([30, 31, 32], [2], domain="math"),
]


class Likelihood:
    """Makes the rollouts likelier, each scored by a teacher named after its domain."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def score(self, rollouts):
        return [ScoredRollout(item, teacher=item.domain) for item in rollouts]

    def begin_step(self, step, updates):
        pass

    def end_step(self, step):
        return {}

    def prepare(self, batch):
        def losses(student_CV, chunk):
            tokens_C = batch.tokens.tokens_N[chunk]
            student_C = token_log_probs(student_CV, tokens_C)
            by_source = {batch.teacher or "math": -self.factor * student_C}
            return TokenLoss(by_source, {"first_id": tokens_C.float()})

        return losses


SCORED = Likelihood().score(ROLLOUTS)
OF_ALL = {"loss", "gradient_norm", "clip_factor", "padding"}


def learner_of(model=None, temperature=1.0, **settings):
    """Return a learner that does not warm up unless told to, and keeps what it gathered."""
    told = {"num_steps": 4, "learning_rate": 1e-2, "warmup_steps": 0, "gradient_clip": 1e9}
    model = model or tiny_model()
    learner = Learner(
        model, LoopSettings(**told | settings), temperature, pad_id=0, sources=["math", "code"]
    )
    step = learner.optimizer.step

    def keeping(learning_rate):
        parts = learner.optimizer._sources.values()
        learner.gathered = torch.cat(
            [sum(grads).flatten() for grads in zip(*(p.gradient for p in parts), strict=True)]
        )
        return step(learning_rate)

    learner.optimizer.step = keeping
    return learner


def gradients(model):
    """Return all gradients in one row."""
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def weights(model):
    """Return all weights in one row, apart from the model."""
    return torch.cat([parameter.detach().flatten().clone() for parameter in model.parameters()])


def distance(model, before):
    """Return how far the weight that moved farthest moved."""
    return float((weights(model) - before).abs().max())


@pytest.mark.parametrize("normalization", [Normalization.SEQUENCE_MEAN, Normalization.TOKEN_MEAN])
def test_many_microbatches_give_the_gradient_of_one(normalization):
    found = []
    for microbatch_tokens in (1, 10_000):
        learner = learner_of(microbatch_tokens=microbatch_tokens, normalization=normalization)
        metrics = learner.update(Likelihood(), SCORED, step=1)
        found.append((learner.gathered, metrics))
    (many, many_metrics), (one, one_metrics) = found
    torch.testing.assert_close(many, one, rtol=1e-4, atol=1e-6)
    # Alone, no rollout is padded; in one microbatch math's are of 4 and 3 tokens.
    assert (many_metrics.pop("padding"), one_metrics.pop("padding")) == (0, pytest.approx(1 / 14))
    assert many_metrics == pytest.approx(one_metrics, rel=1e-4)


def by_hand(model, shares):
    """Return the loss with these shares of -log p, one list of shares for each rollout."""
    total = torch.zeros(())
    for item, weights_N in zip(ROLLOUTS, shares, strict=True):
        log_probs = torch.log_softmax(model(torch.tensor([item.ids])).logits[0], -1)
        places = [place for place, written in enumerate(item.is_response) if written]
        for place, weight in zip(places, weights_N, strict=True):
            total = total - weight * log_probs[place - 1, item.ids[place]]
    return total


@pytest.mark.parametrize(
    ("normalization", "shares"),
    [
        # Three rollouts of 2, 2 and 1 response tokens: a third each, shared by their tokens,
        (Normalization.SEQUENCE_MEAN, [[1 / 6, 1 / 6], [1 / 6, 1 / 6], [1 / 3]]),
        # or five tokens with a fifth each.
        (Normalization.TOKEN_MEAN, [[1 / 5, 1 / 5], [1 / 5, 1 / 5], [1 / 5]]),
    ],
)
def test_loss_and_gradient_are_those_of_the_weighted_sum_over_tokens(normalization, shares):
    reference, learner = tiny_model(), learner_of(normalization=normalization)
    loss = by_hand(reference, shares)
    loss.backward()
    metrics = learner.update(Likelihood(), SCORED, step=1)
    expected = gradients(reference)
    assert metrics["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert metrics["gradient_norm"] == pytest.approx(expected.norm().item(), rel=1e-4)
    torch.testing.assert_close(learner.gathered, expected, rtol=1e-3, atol=1e-6)


def test_gradients_of_a_step_do_not_leak_into_the_next():
    learner = learner_of(learning_rate=1e-12)  # the weights stay where they are
    learner.update(Likelihood(), SCORED, step=1)
    first = learner.gathered
    learner.update(Likelihood(), SCORED, step=2)
    torch.testing.assert_close(learner.gathered, first, rtol=1e-4, atol=1e-6)


def test_an_update_makes_the_rollouts_likelier():
    learner = learner_of()
    losses = [learner.update(Likelihood(), SCORED, step)["loss"] for step in range(1, 6)]
    assert losses == sorted(losses, reverse=True)


def test_a_gradient_is_clipped_to_its_bound_and_reported_as_it_was():
    learner = learner_of(gradient_clip=0.5)
    metrics = learner.update(Likelihood(), SCORED, step=1)
    assert metrics["gradient_norm"] == pytest.approx(learner.gathered.norm().item(), rel=1e-4)
    assert metrics["clip_factor"] == pytest.approx(0.5 / metrics["gradient_norm"], rel=1e-4)


@pytest.mark.parametrize(
    ("step", "share"), [(1, 1 / 4), (2, 2 / 4), (3, 3 / 4), (4, 1), (5, 1), (400, 1)]
)
def test_the_learning_rate_warms_up_in_equal_parts(step, share):
    learner = learner_of(warmup_steps=3, learning_rate=1e-2)
    before = weights(learner.model)
    learner.update(Likelihood(), SCORED, step)
    # AdamW's first step is the learning rate times the sign of the gradient.
    assert distance(learner.model, before) == pytest.approx(1e-2 * share, rel=1e-2)


def test_without_warm_up_the_first_step_is_a_full_one():
    learner = learner_of(warmup_steps=0, learning_rate=1e-2)
    before = weights(learner.model)
    learner.update(Likelihood(), SCORED, step=1)
    assert distance(learner.model, before) == pytest.approx(1e-2, rel=1e-2)


def test_a_step_without_a_gradient_moves_weights_by_their_decay_alone():
    learner = learner_of(weight_decay=0.1, learning_rate=0.5)
    before = weights(learner.model)
    metrics = learner.update(Likelihood(factor=0.0), SCORED, step=1)
    assert metrics["gradient_norm"] == 0.0
    # 1 - 0.5 x 0.1
    torch.testing.assert_close(weights(learner.model), before * 0.95)


def test_the_temperature_divides_the_students_logits():
    cold, sharp = tiny_model(), tiny_model()
    doubled = torch.nn.Linear(16, sharp.config.vocab_size, bias=False)
    doubled.weight.data = sharp.lm_head.weight.detach() * 2
    sharp.lm_head = doubled
    # Logits at a temperature of 1/2 are logits twice as large.
    found = learner_of(cold, 0.5).update(Likelihood(), SCORED, 1)
    expected = learner_of(sharp).update(Likelihood(), SCORED, 1)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)


# The last is finite in each number and overflows in the norm alone.
@pytest.mark.parametrize("factor", [math.nan, math.inf, 1e30])
def test_a_gradient_that_is_not_finite_is_an_error_naming_the_step(factor):
    learner = learner_of()
    before = weights(learner.model)
    with pytest.raises(FloatingPointError, match=r"step 17: .*(nan|inf)"):
        learner.update(Likelihood(factor), SCORED, step=17)
    assert torch.equal(weights(learner.model), before)


def test_a_report_is_the_mean_over_the_tokens_of_each_teacher():
    for microbatch_tokens in (1, 10_000):
        learner = learner_of(microbatch_tokens=microbatch_tokens)
        metrics = learner.update(Likelihood(), SCORED, step=1)
        # math chose the tokens 12, 13 and 32: 57 / 3; code chose 22 and 25: 47 / 2.
        assert metrics["first_id/math"] == pytest.approx(19.0)
        assert metrics["first_id/code"] == pytest.approx(23.5)
        assert metrics["gradient_share/math"] + metrics["gradient_share/code"] == pytest.approx(1)
        of_gradients = {"gradient_norm", "gradient_cosine", "gradient_share"}
        of_a_teacher = {"first_id", "loss"} | of_gradients
        assert metrics.keys() == {*OF_ALL, "sampler_gap", "sampler_bias"} | {
            f"{name}/{teacher}" for name in of_a_teacher for teacher in ("math", "code")
        }


def test_a_report_without_a_teacher_has_a_plain_name():
    scored = [ScoredRollout(item) for item in ROLLOUTS]
    metrics = learner_of().update(Likelihood(), scored, step=1)
    # The five tokens sum to 12 + 13 + 32 + 22 + 25 = 104.
    assert metrics["first_id"] == pytest.approx(20.8)


def run(**settings):
    """Train on the same rollouts over and over; return what happened, in order."""
    events = []
    source = SimpleNamespace(rollouts=lambda step: events.append(("draw", step)) or ROLLOUTS)
    callbacks = LoopCallbacks(
        metrics=lambda step, metrics: events.append(("metrics", step, dict(metrics))),
        rung=lambda step: events.append(("rung", step)),
    )
    train(learner_of(**settings), Likelihood(), source, callbacks)
    return events


def test_each_step_draws_and_reports_and_each_rung_follows_its_step():
    order = [event[:2] for event in run(num_steps=5, rung_every=2)]
    assert order == [
        ("draw", 1),
        ("metrics", 1),
        ("draw", 2),
        ("metrics", 2),
        ("rung", 2),
        ("draw", 3),
        ("metrics", 3),
        ("draw", 4),
        ("metrics", 4),
        ("rung", 4),
        ("draw", 5),
        ("metrics", 5),
        ("rung", 5),
    ]


def test_a_run_without_rungs_hands_out_its_last_step():
    assert [event for event in run(num_steps=3) if event[0] == "rung"] == [("rung", 3)]


def test_metrics_hold_what_was_played_and_what_was_learned():
    (_, _, metrics), *_ = [event for event in run(num_steps=1) if event[0] == "metrics"]
    assert {"reward", "reward/math", "response_tokens", "truncated/code"} <= metrics.keys()
    assert {"loss", "gradient_norm", "first_id/math"} <= metrics.keys()


def test_what_was_played_is_averaged_over_rollouts_and_by_domain():
    good = rollout([1, 2, 3], [1, 2], domain="math", score=1.0)
    poor = rollout([1, 2, 3], [2], domain="math", score=0.5)
    other = rollout([1, 2, 3, 4], [1, 2, 3], domain="code")
    object.__setattr__(other, "truncated", True)
    assert rollout_metrics([good, poor, other]) == pytest.approx(
        {
            "reward": 0.5,  # (1 + 0.5 + 0) / 3
            "response_tokens": 2.0,  # (2 + 1 + 3) / 3
            "truncated": 1 / 3,
            "reward/math": 0.75,
            "response_tokens/math": 1.5,
            "truncated/math": 0.0,
            "reward/code": 0.0,
            "response_tokens/code": 3.0,
            "truncated/code": 1.0,
        }
    )


def test_a_single_domain_is_not_listed_apart():
    assert rollout_metrics([ROLLOUTS[0]]).keys() == {"reward", "response_tokens", "truncated"}
