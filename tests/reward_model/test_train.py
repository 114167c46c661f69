"""Bradley-Terry training: InstructGPT's loss over the pairs of a prompt, with Llama 2's margins."""

import math

import pytest
import torch
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

from lineage.store.store import FolderStore
from tasks.model.chat import ChatTokens
from tasks.model.files import save_policy
from tasks.model.scalar_head import with_scalar_head
from tasks.platform.measurements import Measurements
from tasks.platform.resume import States
from tasks.reward_model.groups import MARGINS, groups_of
from tasks.reward_model.settings import Margin, RewardModelSettings
from tasks.reward_model.train import MEASURED, Collator, bradley_terry, train_groups
from tasks.rollout.responses import Strength
from tasks.scoring.reward_model import RewardModel
from tasks.supervised.training import Watch
from tests.sft.test_resume import Killed, KilledError
from tests.support.preferences import long_over_short, pair
from tests.support.refused import refused
from tests.support.tiny_models import SIZES, tiny_policy, tokenizer

CHAT = ChatTokens(tokenizer())
PAIRS = long_over_short()
RANKED = [pair("a", "b"), pair("b", "c"), pair("a", "c"), pair("d", "a", prompt="1+1")]


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return save_policy(tiny_policy(0), tmp_path_factory.mktemp("policy"))


def fresh(policy, seed=0):
    return RewardModel(with_scalar_head(policy, seed, CHAT.pad_id), tokenizer())


def train(scratch, reward_model, pairs, watch=None, **settings):
    told = {"num_steps": 4, "batch_size": 4, "learning_rate": 1e-2, "warmup_steps": 0}
    measured = Measurements("reward_model")
    train_groups(
        reward_model,
        groups_of(pairs, CHAT),
        RewardModelSettings(**told | settings),
        3,
        scratch,
        watch or Watch(measured.add, metrics=MEASURED),
    )
    return {row.name: row.value for row in measured.rows}


def by_hand(reward_model, pairs, margins=MARGINS[Margin.NONE]):
    """Return equation 1 of InstructGPT: the mean over prompts of the mean over their pairs."""
    losses = []
    for group in groups_of(pairs, CHAT):
        rewards = [reward_model.model(torch.tensor([r.ids])).logits[0, 0] for r in group.responses]
        terms = [
            -torch.sigmoid(rewards[p.chosen] - rewards[p.rejected] - margins[p.strength]).log()
            for p in group.pairs
        ]
        losses.append(torch.stack(terms).mean())
    return torch.stack(losses).mean()


def loss_of_batch(reward_model, pairs, margin=Margin.NONE):
    rows = [
        {
            "responses": [list(r.ids) for r in group.responses],
            "lengths": [sum(r.is_response) for r in group.responses],
            "chosen": [p.chosen for p in group.pairs],
            "rejected": [p.rejected for p in group.pairs],
            "margins": [MARGINS[margin][p.strength] for p in group.pairs],
        }
        for group in groups_of(pairs, CHAT)
    ]
    batch = Collator(CHAT.pad_id)(rows)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    rewards = reward_model.model(**inputs).logits[:, 0]
    lead = rewards[batch["chosen"]] - rewards[batch["rejected"]]
    return bradley_terry(lead, batch["margin"], batch["weight"]), batch


def test_the_loss_is_the_mean_over_prompts_of_the_mean_over_all_pairs_of_a_prompt(policy):
    reward_model = fresh(policy)
    loss, batch = loss_of_batch(reward_model, RANKED)
    assert loss.item() == pytest.approx(by_hand(reward_model, RANKED).item(), rel=1e-5)
    assert batch["weight"].tolist() == pytest.approx([1 / 6] * 3 + [1 / 2])
    assert len(batch["input_ids"]) == 5  # a response that is in three pairs is computed once


@pytest.mark.parametrize("margin", [Margin.SMALL, Margin.LARGE])
def test_the_margin_follows_the_strength(policy, margin):
    reward_model = fresh(policy)
    pairs = [
        pair(str(n), "12", f"{n}+2", strength=s) for n, s in enumerate(list(Strength)[:4], start=20)
    ]
    loss, batch = loss_of_batch(reward_model, pairs, margin)
    scale = {Margin.SMALL: 1.0, Margin.LARGE: 3.0}[margin]
    assert batch["margin"].tolist() == pytest.approx([scale, scale * 2 / 3, scale / 3, 0])
    expected = by_hand(reward_model, pairs, MARGINS[margin])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss.item() > loss_of_batch(reward_model, pairs)[0].item()


def test_of_one_pair_a_prompt_it_is_trls_loss(policy, tmp_path):
    reward_model = fresh(policy)
    loss, _ = loss_of_batch(reward_model, PAIRS[:4])
    rows = [group.responses for group in groups_of(PAIRS[:4], CHAT)]
    trainer = RewardTrainer(
        model=reward_model.model,
        args=RewardConfig(
            str(tmp_path),
            use_cpu=True,
            bf16=False,
            report_to="none",
            activation_checkpointing=False,
        ),
        train_dataset=_dataset(rows),
        processing_class=tokenizer(),
    )
    batch = trainer.data_collator(list(trainer.train_dataset))
    theirs = trainer.compute_loss(reward_model.model, batch)
    assert loss.item() == pytest.approx(theirs.item(), rel=1e-5)


def _dataset(rows):
    from datasets import Dataset

    return Dataset.from_list(
        [{"chosen_ids": list(c.ids), "rejected_ids": list(r.ids)} for c, r in rows]
    )


@pytest.mark.medium
def test_training_learns_the_preference_and_logs_what_it_measures(policy, tmp_path):
    reward_model = fresh(policy)
    before = by_hand(reward_model, PAIRS).item()
    logged = train(tmp_path, reward_model, PAIRS, num_steps=10)
    assert by_hand(reward_model, PAIRS).item() < 0.5 * before
    assert logged.keys() == set(MEASURED.values())
    # Three numbers, two blanks and the end against one number and the end.
    assert logged["length_gap"] == sum(PAIRS_LENGTHS) / len(PAIRS_LENGTHS)
    assert logged["accuracy"] > 0.5
    assert logged["margin"] > 0
    assert math.isfinite(logged["reward"])


PAIRS_LENGTHS = [
    sum(c.is_response) - sum(r.is_response)
    for c, r in (group.responses for group in groups_of(PAIRS, CHAT))
]


@pytest.mark.medium
@pytest.mark.parametrize(
    ("die_at", "save_every"), [(3, 1), pytest.param(12, 5, marks=pytest.mark.slow)]
)
def test_a_killed_run_ends_in_the_same_bits_and_the_same_log(policy, tmp_path, die_at, save_every):
    def run(name, store=None, die_at=None):
        reward_model, measured = fresh(policy), Measurements("reward_model")

        def states(trainer):
            parts = {"trainer": trainer, "measurements": measured}
            run = "sha256:" + "cd" * 32
            return Killed(States(store, run, parts), save_every, die_at, _throw)

        watch = Watch(measured.add, states if store else None, MEASURED)
        train(tmp_path / name, reward_model, PAIRS, watch, num_steps=11 if save_every == 1 else 13)
        return reward_model.model.state_dict(), [row[:3] for row in measured.rows]

    expected, rows = run("undisturbed")
    store = FolderStore(tmp_path / "store")
    with pytest.raises(KilledError):
        run("killed", store, die_at)
    found, again = run("resumed", store)
    assert again == rows
    assert {row[1] for row in rows} == set(MEASURED.values())
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())


def _throw():
    raise KilledError


def test_the_head_is_drawn_from_the_seed_with_a_variance_of_one_by_the_width(policy):
    one, same, other = (fresh(policy, seed).model.score.weight for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    drawn = torch.cat([fresh(policy, seed).model.score.weight for seed in range(8)])
    # 128 numbers: the deviation is within three standard errors, 3 / sqrt(256) = 0.19.
    assert drawn.std().item() * math.sqrt(SIZES.hidden_size + 1) == pytest.approx(1, abs=0.19)


def test_a_response_longer_than_the_models_positions_is_refused(policy, tmp_path):
    with refused("comparison-too-long", "96"):
        train(tmp_path, fresh(policy), [pair("1" * 96, "2")])
