"""DPO: the trainer's loss against plain models, TRL's losses, masks, and resuming."""

import copy

import pytest
import torch
from datasets import Dataset
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from lineage.store.store import FolderStore
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy
from tasks.platform.measurements import Measurements
from tasks.platform.resume import States
from tasks.preference.settings import PreferenceSettings
from tasks.preference.train import MEASURED, ReferencedPolicy, prefer
from tasks.rollout.environment import Turn
from tasks.supervised.comparisons import token_pair
from tasks.supervised.training import Watch
from tests.sft.test_resume import Killed, KilledError
from tests.support import zoo
from tests.support.preferences import long_over_short, pair
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model, tokenizer

CHAT = ChatTokens(tokenizer())
CALLED = (Turn("assistant", "?"), Turn("tool", "7"), Turn("assistant", "7"))
PAIRS = [token_pair(each, CHAT) for each in [*long_over_short(range(10, 17)), pair(chosen=CALLED)]]


def train(scratch, pairs=PAIRS, model=None, reference=None, watch=None, **settings):
    """Train a tiny model on these pairs; return it and what the last log says."""
    told = {"num_steps": 1, "batch_size": len(pairs), "learning_rate": 1e-2, "warmup_steps": 0}
    model, seen = model or tiny_model(), Measurements("preference")
    prefer(
        ReferencedPolicy(Policy(model, tokenizer()), reference),
        pairs,
        PreferenceSettings(**told | settings),
        3,
        scratch,
        watch or Watch(seen.add, metrics=MEASURED),
    )
    return model, {row.name: row.value for row in seen.rows}


def log_probs(model, row):
    """Return the log-probability of each token but the first, and which the model wrote."""
    found = model(torch.tensor([row.ids])).logits[0, :-1].log_softmax(-1)
    chosen = found.gather(1, torch.tensor(row.ids[1:])[:, None])[:, 0]
    return chosen, torch.tensor(row.is_response[1:])


def by_hand(policy, reference, masked=frozenset(), **options):
    """Return DPO's loss in plain torch."""
    told = PreferenceSettings(num_steps=1, learning_rate=1, **options)
    losses = []
    for each in PAIRS:
        ratios = []
        for row in (each.chosen, each.rejected):
            own, written = log_probs(policy, row)
            with torch.no_grad():
                other, _ = log_probs(reference, row)
            kept = written & torch.tensor([token not in masked for token in row.ids[1:]])
            ratio = (own - other)[kept].sum()
            ratios.append(ratio / kept.sum() if told.length_normalized else ratio)
        own, written = log_probs(policy, each.chosen)
        loss = -torch.sigmoid(told.beta * (ratios[0] - ratios[1])).log()
        losses.append(loss - told.nll_weight * own[written].mean())
    return torch.stack(losses).mean()


@pytest.mark.medium
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beta": 5, "length_normalized": True},
        {"nll_weight": 0.2, "mask_control_tokens": True},
    ],
)
def test_training_steps_along_the_gradient_of_the_formula(tmp_path, options):
    reference = tiny_model(1)
    masked = frozenset(CHAT.control_ids) if options.pop("mask_control_tokens", False) else set()
    expected = tiny_model()
    loss = by_hand(expected, reference, masked, **options)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(expected.parameters(), 1.0)
    torch.optim.AdamW(expected.parameters(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.01).step()
    trained, logged = train(
        tmp_path, reference=reference, mask_control_tokens=bool(masked), **options
    )
    assert logged["loss"] == pytest.approx(loss.item(), rel=1e-4)
    assert logged["grad_norm"] == pytest.approx(norm.item(), rel=1e-3)
    for found, wanted in zip(trained.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-3)


def test_the_mask_takes_the_end_of_a_turn_out_of_the_comparison_and_not_out_of_the_likelihood():
    reference, policy = tiny_model(1), tiny_model()
    masked = frozenset(CHAT.control_ids)
    assert CHAT.end_id in masked
    plain, without_ends = (by_hand(policy, reference, m, nll_weight=0.2) for m in (set(), masked))
    assert plain.item() != without_ends.item()


@pytest.mark.medium
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # TRL's own use
@pytest.mark.parametrize(
    ("loss_type", "options"),
    [("sigmoid", {"beta": 0.3}), ("sigmoid_norm", {"beta": 5, "length_normalized": True})],
)
def test_of_one_turn_it_is_trls_loss(tmp_path, loss_type, options):
    pairs = PAIRS[:4]
    rows = [
        {
            "prompt_ids": [t for t, own in zip(*_parts(p.chosen), strict=True) if not own],
            "chosen_ids": [t for t, own in zip(*_parts(p.chosen), strict=True) if own],
            "rejected_ids": [t for t, own in zip(*_parts(p.rejected), strict=True) if own],
        }
        for p in pairs
    ]

    class Tokenized(DPOTrainer):
        def _prepare_dataset(self, dataset, *_):
            return dataset

    trainer = Tokenized(
        model=tiny_model(),
        ref_model=tiny_model(1),
        args=DPOConfig(
            str(tmp_path), loss_type=[loss_type], beta=options["beta"], use_cpu=True, bf16=False,
            report_to="none", activation_checkpointing=False,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer(),
    )  # fmt: skip
    batch = trainer.data_collator(list(trainer.train_dataset))
    theirs = trainer.compute_loss(trainer.model, batch)
    _, logged = train(tmp_path, pairs, reference=tiny_model(1), **options)
    assert logged["loss"] == pytest.approx(theirs.item(), rel=1e-4)
    names = {"log_prob_chosen": "logps/chosen", "log_prob_rejected": "logps/rejected"}
    for ours, name in names.items():
        assert logged[ours] == pytest.approx(trainer._metrics["eval"][name][0], rel=1e-4)


def _parts(tokens):
    return tokens.ids, tokens.is_response


@pytest.mark.medium
def test_without_another_reference_it_is_held_back_by_what_it_was(tmp_path):
    start = tiny_model()
    by_itself, first = train(tmp_path, model=copy.deepcopy(start), num_steps=3)
    by_a_copy, second = train(tmp_path, model=copy.deepcopy(start), reference=start, num_steps=3)
    assert first == second
    pairs = zip(by_itself.parameters(), by_a_copy.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.medium
def test_a_policy_in_bf16_trains_in_fp32(tmp_path):
    model, logged = train(tmp_path, model=tiny_model().bfloat16())
    # A first step has no lead yet over what the policy was.
    assert logged["drift"] == pytest.approx(0, abs=1e-6)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


@pytest.mark.slow
@pytest.mark.parametrize("family", [*zoo.MUST_RUN, "granite", "gemma2"])
def test_each_family_has_the_log_probabilities_of_its_logits(tmp_path, family):
    model = zoo.tiny(family)
    with torch.no_grad():
        found = [log_probs(model, each.chosen) for each in PAIRS]
    expected = sum(each[written].sum().item() for each, written in found) / len(PAIRS)
    logged = train(tmp_path, model=model)[1]
    assert logged["log_prob_chosen"] == pytest.approx(expected, rel=1e-5)
    assert logged["drift"] == pytest.approx(0, abs=1e-6)


def test_it_learns_the_preference_and_logs_what_it_measures(tmp_path):
    _, logged = train(tmp_path, num_steps=10, batch_size=8, learning_rate=3e-3)
    assert logged.keys() == set(MEASURED.values())
    assert logged["accuracy"] > 0.5
    assert logged["margin"] > 0
    assert logged["loss"] < 0.69


@pytest.mark.medium
@pytest.mark.parametrize(
    ("die_at", "save_every"), [(3, 1), pytest.param(12, 5, marks=pytest.mark.slow)]
)
def test_a_killed_run_ends_in_the_same_bits_and_the_same_log(tmp_path, die_at, save_every):
    num_steps = 5 if save_every == 1 else 13

    def run(name, store=None, die_at=None):
        seen = Measurements("preference")

        def states(trainer):
            parts = {"trainer": trainer, "measurements": seen}
            saved = States(store, "sha256:" + "cd" * 32, parts)
            return Killed(saved, save_every, die_at, _throw)

        watch = Watch(seen.add, states if store else None, MEASURED)
        model, _ = train(tmp_path / name, watch=watch, num_steps=num_steps, batch_size=3)
        return model.state_dict(), [row[:3] for row in seen.rows]

    expected, rows = run("undisturbed")
    store = FolderStore(tmp_path / "store")
    with pytest.raises(KilledError):
        run("killed", store, die_at)
    found, again = run("resumed", store)
    assert again == rows
    assert rows
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())


def _throw():
    raise KilledError


def test_what_cannot_be_compared_is_refused(tmp_path):
    with refused("comparison-too-long", "96"):
        train(tmp_path, [token_pair(pair("1" * 96), CHAT)])
    empty = [token_pair(pair(""), CHAT)]
    with refused("nothing-compared"):
        train(tmp_path, empty, mask_control_tokens=True)
    with refused("missing-side", "12+34"):
        token_pair(pair(rejected=(Turn("tool", "7"),)), CHAT)
