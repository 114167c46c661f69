"""KL to a reference: estimators by hand, their gradients, and where they count."""

import math

import pytest
import torch

from tasks.model.log_probs import pad_right, token_log_probs
from tasks.onpolicy.settings import LoopSettings, Normalization
from tasks.onpolicy.step_plan import plan_step
from tasks.rl.grpo import GroupAdvantage
from tasks.rl.kl import REFERENCE, FrozenPolicy, estimate_kl, kl_loss
from tasks.rl.objective import Reinforcement
from tasks.rl.policy_tools import PolicyTools
from tasks.rl.settings import RlSettings
from tasks.rl.surrogate import Surrogate
from tasks.rl.token_numbers import token_numbers
from tasks.rl.variants import KlEstimator, KlSettings
from tests.support.tiny_models import rollout, tiny_model

LN2 = math.log(2)


def test_estimators_of_a_token_that_the_reference_finds_half_as_likely():
    log_ratio = torch.tensor([-LN2])
    assert estimate_kl(log_ratio, KlEstimator.K1).item() == pytest.approx(LN2)
    # r - 1 - log r = 1/2 - 1 + ln 2, as in TRL's GRPOTrainer.
    assert estimate_kl(log_ratio, KlEstimator.K3).item() == pytest.approx(LN2 - 0.5)


def test_both_estimators_have_the_kl_as_their_mean():
    policy, reference = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.3, 0.3, 0.4])
    exact = (policy * (policy / reference).log()).sum()
    for estimator in (KlEstimator.K1, KlEstimator.K3):
        mean = (policy * estimate_kl((reference / policy).log(), estimator)).sum()
        torch.testing.assert_close(mean, exact)


def expected_gradient(estimator):
    """Return the mean gradient of a KL loss over the policy's own samples, and the KL's own."""
    reference = torch.tensor([0.3, 0.3, 0.4]).log()
    logits = torch.tensor([0.7, 0.2, 0.1]).log().requires_grad_()
    log_p = logits.log_softmax(-1)
    exact = (log_p.exp() * (log_p - reference)).sum()
    (of_kl,) = torch.autograd.grad(exact, logits, retain_graph=True)
    ratio = (log_p - log_p.detach()).exp()
    taken = Surrogate(torch.zeros(3), ratio, torch.ones(3), {})
    loss, _ = kl_loss(log_p, reference, taken, estimator)
    (mean,) = torch.autograd.grad((log_p.detach().exp() * loss).sum(), logits)
    return mean, of_kl


@pytest.mark.parametrize("estimator", [KlEstimator.K1, KlEstimator.CORRECTED_K3])
def test_k1_and_corrected_k3_have_the_gradient_of_the_kl(estimator):
    mean, of_kl = expected_gradient(estimator)
    torch.testing.assert_close(mean, of_kl)


def test_plain_k3_has_another_gradient_which_is_why_there_is_a_corrected_one():
    mean, of_kl = expected_gradient(KlEstimator.K3)
    assert not torch.allclose(mean, of_kl, atol=0.01)


def settings(**kl):
    return RlSettings(
        loop=LoopSettings(num_steps=9, learning_rate=1e-3),
        rollouts_per_prompt=2,
        kl=KlSettings(**{"coefficient": 0.5} | kl),
    )


ROLLOUTS = [rollout([1, 2, 3], [1, 2], score=1.0), rollout([1, 4, 5], [1, 2], domain="code")]


def test_numbers_of_tokens_are_those_of_each_rollout_alone():
    reference = FrozenPolicy(tiny_model(1), temperature=2.0)
    longer = rollout([3, 1, 4, 1, 5], [2, 4])
    empty = rollout([3, 1], [])
    found = token_numbers([longer, ROLLOUTS[0], empty], reference.log_probs, pad_id=0)
    alone = tiny_model(1)(torch.tensor([longer.ids])).logits[0] / 2
    expected = token_log_probs(alone[[1, 3]], torch.tensor([4, 5]))
    assert found[0] == pytest.approx(expected.tolist(), abs=1e-4)
    assert [len(numbers) for numbers in found] == [2, 2, 0]


def test_the_loss_gains_the_coefficient_of_each_domain_times_the_kl():
    reference = FrozenPolicy(tiny_model(1), temperature=1.0)
    chosen = settings(domains={"code": 0.0})
    objective = Reinforcement(chosen, PolicyTools(GroupAdvantage(), reference=reference))
    (batch,) = plan_step(objective.score(ROLLOUTS), Normalization.TOKEN_MEAN, 1000, pad_id=0)
    tokens = pad_right([r.ids for r in ROLLOUTS], [r.is_response for r in ROLLOUTS], 0)
    torch.testing.assert_close(batch.numbers_N[REFERENCE], reference.log_probs(tokens))
    logits = torch.zeros(4, 280)
    loss = objective.prepare(batch)(logits, slice(0, 4))
    log_ratio = batch.numbers_N[REFERENCE] + math.log(280)
    k3 = log_ratio.exp() - 1 - log_ratio
    torch.testing.assert_close(loss.report["kl"], k3)
    # Both groups have one rollout, so the advantages are 0; code's coefficient is 0.
    expected = torch.tensor([0.5, 0.5, 0, 0]) * k3
    torch.testing.assert_close(loss.by_source["outcome"], expected)


def test_in_the_reward_the_kl_is_the_sum_over_tokens_of_the_samplers_log_ratio():
    reference = FrozenPolicy(tiny_model(1), temperature=1.0)
    pair = [rollout([1, 2, 3], [1, 2], score=1.0), rollout([1, 4, 5], [1, 2], score=1.0)]
    chosen = settings(estimator="k1", place="reward")
    objective = Reinforcement(chosen, PolicyTools(GroupAdvantage(), reference=reference))
    scored = objective.score(pair)
    tokens = pad_right([r.ids for r in pair], [r.is_response for r in pair], 0)
    kl = (-1.0 - reference.log_probs(tokens)).reshape(2, 2).sum(-1)  # -1 nat by the sampler
    sign = 1.0 if kl[0] < kl[1] else -1.0
    assert [item.outcome_advantage for item in scored] == pytest.approx([sign, -sign])
    assert REFERENCE not in scored[0].numbers


def test_the_reference_becomes_the_policy_when_it_is_due():
    policy, frozen = tiny_model(2), tiny_model(1)
    reference = FrozenPolicy(frozen, temperature=1.0)
    tools = PolicyTools(GroupAdvantage(), policy=policy, reference=reference)
    objective = Reinforcement(settings(reset_every=2), tools)
    name, own = next(iter(policy.named_parameters()))
    for step, same in ((1, False), (2, True)):
        objective.score(ROLLOUTS)
        (batch,) = plan_step(objective.score(ROLLOUTS), Normalization.TOKEN_MEAN, 1000, pad_id=0)
        objective.prepare(batch)(torch.zeros(4, 280), slice(0, 4))
        objective.end_step(step)
        assert torch.equal(dict(frozen.named_parameters())[name], own) is same


def test_a_reference_that_was_replaced_is_a_part_of_the_state(tmp_path):
    replaced, again = FrozenPolicy(tiny_model(2), 1.0), FrozenPolicy(tiny_model(1), 1.0)
    replaced.save(tmp_path)
    again.load(tmp_path)
    tokens = pad_right([ROLLOUTS[0].ids], [ROLLOUTS[0].is_response], 0)
    assert torch.equal(replaced.log_probs(tokens), again.log_probs(tokens))
