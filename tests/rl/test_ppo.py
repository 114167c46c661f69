"""PPO: the value network's values and updates, the pretraining rows, the average, whole runs."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.model.chat import ChatTokens, Tokens
from tasks.model.files import save_policy
from tasks.model.log_probs import pad_right
from tasks.model.scalar_head import drawn_scalar_model, with_scalar_head
from tasks.onpolicy.microbatch import ADVANTAGE, ScoredRollout
from tasks.onpolicy.settings import LoopSettings, Normalization
from tasks.onpolicy.step_plan import plan_step
from tasks.platform.attempt import InterruptedAttemptError
from tasks.rl.actor_critic import PretrainingSettings, ValueSettings
from tasks.rl.critic import Critic, Valued, dealt
from tasks.rl.gae import generalized_advantages
from tasks.rl.objective import Reinforcement
from tasks.rl.policy_tools import PolicyTools
from tasks.rl.ppo import TokenAdvantage
from tasks.rl.pretraining import (
    PRETRAINING,
    PretrainingRows,
    demonstration_rows,
    text_rows,
)
from tasks.rl.settings import RlSettings
from tasks.rollout.environment import Demonstration, Message, Turn
from tasks.rollout.prompts import write_demonstrations
from tests.support.refused import refused
from tests.support.rl_runs import RlPlace, rl_settings
from tests.support.tiny_models import rollout, tiny_policy, tokenizer

LOOP = LoopSettings(num_steps=3, learning_rate=1e-3)
VALUE = ValueSettings(start="policy", learning_rate=1e-2)
ROLLOUTS = [rollout([1, 2, 3, 4], [1, 2], score=1.0), rollout([5, 6, 7, 8, 9], [2, 4], score=0.0)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_policy(tiny_policy(0), tmp_path_factory.mktemp("policy"))


def critic_of(folder, settings=VALUE, bias=0.0):
    return Critic(with_scalar_head(folder, 3, pad_id=0), settings, bias, pad_id=0)


def batch_of(rollouts):
    return pad_right([r.ids for r in rollouts], [r.is_response for r in rollouts], 0)


def test_a_value_is_the_heads_number_before_its_token(folder):
    model = with_scalar_head(folder, 3, pad_id=0)
    critic = critic_of(folder, bias=0.5)
    expected = []
    for item in ROLLOUTS:
        hidden = model.model(torch.tensor([item.ids])).last_hidden_state[0]
        places = [place - 1 for place, written in enumerate(item.is_response) if written]
        expected.append(model.score(hidden[places]).squeeze(-1) + 0.5)
    torch.testing.assert_close(
        critic.values(batch_of(ROLLOUTS)), torch.cat(expected), rtol=1e-4, atol=1e-5
    )


def test_tokens_get_their_advantage_over_the_value(folder):
    critic = critic_of(folder)
    first, second = critic.values(batch_of(ROLLOUTS[:1])).tolist()
    advantage = TokenAdvantage(critic, VALUE, LOOP, pad_id=0)
    scored = advantage.score(ROLLOUTS, [1.0, 0.0], [(0.25, 0.5), ()])
    expected = generalized_advantages([-0.25, 0.5], [first, second], 1.0, 0.95)
    assert list(scored[0].numbers[ADVANTAGE]) == pytest.approx(expected, abs=1e-5)


def test_values_approach_their_returns_and_a_copy_goes_on_to_the_same_bits(folder, tmp_path):
    critic, again = critic_of(folder), critic_of(folder)
    valued = [Valued(item, (0.0, 0.0), (1.0, 1.0)) for item in ROLLOUTS]
    parts = dealt(valued, 2, 2, step=1)
    assert sorted(len(part) for part in parts) == [1, 1, 1, 1]
    losses = [critic.learn(parts, step)["value_loss"] for step in range(1, 6)]
    critic.save(tmp_path)
    again.load(tmp_path)
    assert losses[-1] < 0.5 * losses[0]
    assert critic.learn(parts, 6) == again.learn(parts, 6)
    assert torch.equal(critic.values(batch_of(ROLLOUTS)), again.values(batch_of(ROLLOUTS)))


def test_the_first_update_is_adamws_on_the_mean_over_tokens(folder):
    settings = VALUE.model_copy(update={"gradient_clip": 1e9, "clip": None, "coefficient": 3.0})
    critic, model = critic_of(folder, settings), with_scalar_head(folder, 3, pad_id=0)
    critic.learn([[Valued(item, (0.0, 0.0), (1.0, 2.0)) for item in ROLLOUTS]], step=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.0)
    errors = []
    for item in ROLLOUTS:
        hidden = model.model(torch.tensor([item.ids])).last_hidden_state[0]
        places = [place - 1 for place, written in enumerate(item.is_response) if written]
        errors.append(model.score(hidden[places]).squeeze(-1) - torch.tensor([1.0, 2.0]))
    (3.0 * 0.5 * torch.cat(errors).square().mean()).backward()
    optimizer.step()
    own = dict(critic._model.named_parameters())
    for name in ("score.weight", "model.norm.weight"):
        torch.testing.assert_close(own[name], model.get_parameter(name), rtol=1e-3, atol=1e-5)


def test_a_random_network_has_the_policys_shape_and_depends_on_the_seed(folder):
    one, same, other = (drawn_scalar_model(folder, seed, 0) for seed in (1, 1, 2))
    assert one.config.num_labels == 1
    heads = [model.get_parameter("score.weight") for model in (one, same, other)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    body = with_scalar_head(folder, 0, 0)
    assert {n: p.shape for n, p in one.named_parameters()} == {
        n: p.shape for n, p in body.named_parameters()
    }


ROWS = [tuple(range(first, first + 3)) for first in range(4)]


def pretraining():
    rows = [Tokens(ids, (False, True, True)) for ids in ROWS]
    return PretrainingRows(rows, PretrainingSettings(coefficient=2.0, rows_per_step=3), seed=1)


def test_rows_go_through_all_demonstrations_in_a_new_order_each_epoch():
    drawn = [row.rollout.ids for step in range(1, 5) for row in pretraining().rows(step)]
    epochs = [drawn[first : first + 4] for first in (0, 4, 8)]
    assert [sorted(epoch) for epoch in epochs] == [ROWS] * 3
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_text_is_cut_into_rows_and_every_token_but_the_first_is_learned():
    chat = ChatTokens(tokenizer())
    texts = ["fox owl", "12+34=46 and more"]
    ids = [token for text in texts for token in (*chat.text(text), chat.pad_id)]
    rows = text_rows(chat, texts, 4, limit=4)
    assert [row.ids for row in rows] == [
        tuple(ids[first : first + 4]) for first in range(0, len(ids) - 3, 4)
    ]
    assert {row.is_response for row in rows} == {(False, True, True, True)}
    with refused("too-little-text"):
        text_rows(chat, ["a"], 40, limit=None)
    with refused("row-too-long"):
        text_rows(chat, texts, 5, limit=4)


def test_a_demonstration_is_a_row_and_its_own_turns_are_learned():
    chat = ChatTokens(tokenizer())
    shown = Demonstration((Message("user", "fox?"),), (Turn("assistant", "owl"),))
    (row,) = demonstration_rows(chat, [shown], limit=96)
    assert row == chat.demonstration([{"role": "user", "content": "fox?"}], [("assistant", "owl")])
    with refused("row-too-long"):
        demonstration_rows(chat, [shown], limit=len(row.ids) - 1)


def test_the_loss_of_rows_is_the_coefficient_times_their_mean_likelihood():
    settings = RlSettings(
        loop=LOOP, pretraining=PretrainingSettings(coefficient=2.0, rows_per_step=3)
    )
    rows = pretraining().rows(1)
    group = [rollout([1, 2, 3], [1, 2], score=score) for score in (1.0, 0.0)]
    tools = PolicyTools(Reinforcement(settings)._advantage, beside=lambda: rows)
    objective = Reinforcement(settings, tools)
    assert objective.sources == ["outcome", PRETRAINING]
    plan = plan_step(objective.score(group), Normalization.TOKEN_MEAN, 1000, pad_id=0)
    total = 0.0
    for batch in plan:
        if batch.term == PRETRAINING:
            logits = torch.zeros(len(batch.weights_N), 280)
            loss = objective.prepare(batch)(logits, slice(0, len(logits)))
            total += float((batch.weights_N * loss.by_source[PRETRAINING]).sum())
    assert total == pytest.approx(2.0 * torch.tensor(280.0).log().item())
    assert objective.tokens == 4 + 6


PPO = {
    "rollouts_per_prompt": 1,
    "prompts_per_step": 4,
    "loop": {"inner_updates": 2, "inner_epochs": 2, "normalization": "token_mean"},
    "ratio": {"base": "old", "clip": {"low": 0.2, "high": 0.2}},
    "kl": {"coefficient": 0.02, "estimator": "k1", "place": "reward"},
    "value": {"start": "reward_model", "learning_rate": 1e-2, "whiten": True},
    "average": 0.5,
    "pretraining": {"coefficient": 1.0, "rows_per_step": 2},
    "groups": {"overlong": {"rule": "penalty", "penalty": 1.0}},
    "rewards": {"terms": [{"kind": "scorer", "name": "helpful"}]},
}


@pytest.fixture
def place(tmp_path):
    return RlPlace(tmp_path / "place")


def models_of(place):
    """Return a reward model, as the reward and as the value network's start, and rows."""
    path = place.folder / "rows.jsonl"
    said = [Demonstration((Message("user", "fox?"),), (Turn("assistant", w),)) for w in "abc"]
    write_demonstrations(path, said)
    reward_model = place.reward_model()
    return {
        "helpful": reward_model,
        "value_start": reward_model,
        "pretraining": place.put("dataset", path),
    }


@pytest.mark.medium
def test_a_run_like_instructgpts_acts_is_recorded_by_role_and_resumes(place, tmp_path):
    settings = rl_settings(3, **PPO)
    ladder, metrics = place.run(settings, models=models_of(place))
    assert metrics["value_error"][0] > 0.0
    assert {"value_loss", "loss/pretraining", "mechanism/kl/bound"} <= metrics.keys()
    record = place.runner.records.read(ladder[-1].checkpoint.record)
    assert [(i.role, i.name) for i in record.inputs][3:] == [
        *(("reward_model", "helpful"), ("value_start", ""), ("data", "pretraining")),
    ]
    again = RlPlace(tmp_path / "again")
    with pytest.raises(InterruptedAttemptError):
        again.run(settings, models=models_of(again), stop_at=1)
    resumed, told = again.run(settings, models=models_of(again))
    assert told == metrics
    assert resumed[-1].checkpoint.digest == ladder[-1].checkpoint.digest


def test_the_average_of_one_step_with_decay_a_half_is_the_middle(place):
    value = {"start": "random", "learning_rate": 1e-2}
    plain, _ = place.run(rl_settings(1, value=value))
    middle, _ = place.run(rl_settings(1, value=value, average=0.5))
    start, end, found = (
        place.weights(each) for each in (place.start, plain[-1].checkpoint, middle[-1].checkpoint)
    )
    for name in start:
        torch.testing.assert_close(found[name], (start[name] + end[name]) / 2)
    assert any(not torch.equal(start[name], end[name]) for name in start)


def two_labels(folder):
    """Give the reward model of a folder a head of two numbers."""
    file = folder / "model.safetensors"
    weights = load_file(file)
    head = weights["score.weight"]
    save_file(weights | {"score.weight": torch.cat([head, head])}, file, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    labels = {"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 0, "b": 1}}
    (folder / "config.json").write_text(json.dumps(config | labels))


def test_a_value_head_of_another_size_is_refused_before_training(place):
    settings = rl_settings(1, value={"start": "reward_model", "learning_rate": 1e-3})
    with refused("value-head-size", "(2, 16)"):
        place.run(settings, models={"value_start": place.reward_model(1, two_labels)})
    assert place.runner.mirror.records == []


def test_a_rollout_without_a_response_has_no_numbers(folder):
    empty = rollout([1, 2], [])
    scored = TokenAdvantage(critic_of(folder), VALUE, LOOP, 0).score(
        [empty, ROLLOUTS[0]], [1.0, 1.0], [(), ()]
    )
    assert scored[0] == ScoredRollout(empty)
    assert scored[0].numbers[ADVANTAGE] == ()


@pytest.mark.slow
def test_the_toy_is_learned_by_ppo_too(place):
    settings = rl_settings(
        25,
        loop={"learning_rate": 3e-2, "inner_updates": 2},
        sampling={"max_new_tokens": 2, "allow_unconfined": True},
        prompts_per_step=6,
        rollouts_per_prompt=6,
        ratio={"base": "old", "clip": {"low": 0.2, "high": 0.2}},
        value={"start": "policy", "learning_rate": 1e-2, "whiten": True},
    )
    _, metrics = place.run(settings)
    assert sum(metrics["reward"][:3]) / 3 < 0.5
    assert sum(metrics["reward"][-3:]) / 3 > 0.7
