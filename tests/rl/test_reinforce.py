"""Real runs with published variants on tiny models: they act, are recorded, and resume."""

import pytest
import torch

from tasks.model.files import Policy
from tasks.onpolicy.settings import LoopSettings
from tasks.platform.attempt import InterruptedAttemptError
from tasks.rollout.settings import SamplingSettings
from tests.support.refused import refused
from tests.support.rl_runs import RlPlace, rl_settings
from tests.support.tiny_models import with_template

MANY = {
    "loop": {"inner_updates": 2, "inner_epochs": 2, "normalization": "global_batch"},
    "ratio": {
        "base": "old",
        "clip": {"low": 0.01, "high": 0.02},
        "negative_mask": 0.001,
        "squared_log": 0.01,
    },
    "advantage": {"baseline": "leave_one_out", "scale": "none"},
    "kl": {"coefficient": 0.05, "reset_every": 2},
    "groups": {"zero_variance": "refill", "refill_rounds": 1},
    "lengths": [{"from_step": 3, "max_new_tokens": 6}],
    "prompts_by_domain": {"odd": 3},
}


def changed(one, other):
    return any(not torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def place(tmp_path):
    return RlPlace(tmp_path / "place")


def both(place):
    return [place.domain("even"), place.domain("odd", owner="team-odd")]


@pytest.mark.medium
def test_variants_of_a_mixed_run_act_and_a_stopped_run_ends_in_the_same_bits(place, tmp_path):
    settings = rl_settings(4, **MANY)
    ladder, metrics = place.run(settings, both(place))
    for name in ("clipped", "negative_mask", "kl", "reset"):
        assert metrics[f"mechanism/{name}/evaluated"][0] > 0, name
        assert sum(metrics[f"mechanism/{name}/bound"]) > 0, name
    assert {"reward/even", "reward/odd", "groups_refilled"} <= metrics.keys()
    assert metrics["response_tokens"][0] <= 4 < metrics["response_tokens"][2]
    notes = place.notes(ladder[-1].checkpoint)
    assert notes["tokens_sampled"] > 0
    assert notes["tokens_trained"] > 0
    assert changed(place.weights(place.start), place.weights(ladder[-1].checkpoint))
    again = RlPlace(tmp_path / "again")
    with pytest.raises(InterruptedAttemptError):
        again.run(settings, both(again), stop_at=2)
    resumed, told = again.run(settings, both(again))
    assert resumed[-1].checkpoint.digest == ladder[-1].checkpoint.digest
    assert told == metrics
    assert again.notes(resumed[-1].checkpoint)["tokens_trained"] == notes["tokens_trained"]


def test_a_given_reference_is_recorded_and_makes_another_policy(place):
    reference, domain = place.policy(1), place.domain()
    kl = {"coefficient": 1.0, "estimator": "k1", "place": "reward"}
    plain, _ = place.run(rl_settings(1), [domain])
    held, metrics = place.run(
        rl_settings(1, kl=kl | {"reference": "given"}), [domain], {"reference": reference}
    )
    assert held[-1].checkpoint.digest != plain[-1].checkpoint.digest
    assert metrics["mechanism/kl/bound"][0] != 0.0
    record = place.runner.records.read(held[-1].checkpoint.record)
    assert [i.artifact for i in record.inputs if i.role == "reference"] == [reference.digest]


def test_a_reward_model_joins_late_beside_the_grade_and_is_recorded_by_name(place):
    terms = [
        {"kind": "grade", "name": "grade"},
        {"kind": "scorer", "name": "helpful", "from_step": 2, "weight": 0.5},
        {"kind": "length", "name": "length", "most_tokens": 40, "weight": 0.1},
    ]
    model = place.reward_model()
    settings = rl_settings(2, rewards={"terms": terms})
    ladder, metrics = place.run(settings, [place.domain()], {"helpful": model})
    first, second = metrics["mechanism/term-helpful/bound"]
    assert first == 0.0 != second
    lengths = [-0.1 * tokens / 40 for tokens in metrics["response_tokens"]]
    assert metrics["mechanism/term-length/bound"] == pytest.approx(lengths)
    assert metrics["reward_total"][0] == pytest.approx(metrics["reward"][0] + lengths[0])
    record = place.runner.records.read(ladder[-1].checkpoint.record)
    assert ("reward_model", "helpful") in [(i.role, i.name) for i in record.inputs]


def test_a_judge_scores_with_its_rubric_and_is_recorded_as_one(place):
    judge = {
        "rubric": "short",
        "score_template": "{rubric}{prompt}{response}",
        "unparsable_score": 2.0,
        "sampling": {"max_new_tokens": 4},
    }
    term = {"kind": "scorer", "name": "style", "weight": 0.5, "judge": judge}
    ladder, metrics = place.run(
        rl_settings(1, rewards={"terms": [{"kind": "grade", "name": "grade"}, term]}),
        [place.domain()],
        {"style": place.policy(1)},
    )
    # It has learned nothing, so that no verdict of it can be parsed.
    assert metrics["mechanism/term-style/bound"] == [1.0]
    assert metrics["reward_total"] == [pytest.approx(metrics["reward"][0] + 1.0)]
    record = place.runner.records.read(ladder[-1].checkpoint.record)
    assert ("judge", "style") in [(i.role, i.name) for i in record.inputs]
    notes = place.notes(ladder[-1].checkpoint)
    assert len(notes["verdicts"]["style"]) == 3
    # 2 prompts of 4 rollouts, and a verdict on each.
    assert 8 < notes["tokens_sampled"] <= 2 * 8 * 4
    assert notes["tokens_sampled"] > metrics["response_tokens"][0] * 8


def test_a_mechanism_that_never_acts_is_named_in_the_record(place):
    ladder, _ = place.run(rl_settings(2, ratio={"most": 50.0}), [place.domain()])
    assert place.notes(ladder[-1].checkpoint)["never_acted"] == ["capped"]


def test_groups_that_all_have_equal_rewards_leave_the_weights_as_they_are(place):
    # Bounds and KL have nothing to evaluate in such steps, which is no fault of theirs.
    settings = rl_settings(
        3, groups={"zero_variance": "drop"}, kl={"coefficient": 0.1}, ratio={"most": 50.0}
    )
    ladder, metrics = place.run(settings, [place.domain(grade="return Grade(1.0)")])
    assert metrics["skipped_update"] == [1.0, 1.0, 1.0]
    assert not changed(place.weights(place.start), place.weights(ladder[-1].checkpoint))


def other_tokens(policy):
    """Return the same model with another tokenizer."""
    tokenizer = with_template(policy.tokenizer.chat_template)
    tokenizer.add_tokens(["provost"])
    return Policy(policy.model, tokenizer)


def test_a_reference_that_reads_other_tokens_is_refused_before_training(place):
    settings = rl_settings(1, kl={"coefficient": 0.1, "reference": "given"})
    reference = place.policy(1, other_tokens)
    with refused("other-tokenizer", "reference"):
        place.run(settings, [place.domain()], {"reference": reference})
    assert place.runner.mirror.records == []


@pytest.mark.slow
def test_runs_one_after_another_start_from_each_others_last_rung(place):
    even, odd = both(place)
    first, _ = place.run(rl_settings(1), [even])
    second, _ = place.run(rl_settings(1), [odd], start=first[-1].checkpoint)
    record = place.runner.records.read(second[-1].checkpoint.record)
    [start] = [item for item in record.inputs if item.role == "start"]
    assert start.record == first[-1].checkpoint.record


@pytest.mark.slow
def test_the_toy_is_learned_with_the_changes_of_olmo_3(place):
    # OLMo 3 section 4.4.1: no std, no KL, token mean, clip-higher, dynamic sampling, TIS.
    settings = rl_settings(
        loop={"learning_rate": 3e-2, "inner_updates": 2, "normalization": "token_mean"},
        num_steps=15,
        sampling=SamplingSettings(max_new_tokens=2, allow_unconfined=True),
        prompts_per_step=4,
        rollouts_per_prompt=8,
        advantage={"scale": "none"},
        importance={"high": 2.0, "correction": "truncate"},
        ratio={"base": "old", "clip": {"low": 0.2, "high": 0.272}},
        groups={"zero_variance": "refill", "refill_rounds": 2},
    )
    assert isinstance(settings.loop, LoopSettings)
    _, metrics = place.run(settings, [place.domain()])
    assert sum(metrics["reward"][:3]) / 3 < 0.5
    assert sum(metrics["reward"][-3:]) / 3 > 0.7
