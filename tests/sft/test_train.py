"""Supervised training: what is masked teaches nothing, and the rest is plain AdamW."""

import copy

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen3MoeConfig

from tasks.model.chat import ChatTokens, Tokens
from tasks.model.files import Policy
from tasks.model.kernels.unread_tokens import reads_prefixes_once
from tasks.sft import train as sft
from tasks.sft.settings import SftSettings
from tasks.sft.train import supervise
from tasks.supervised.dropout import residual_dropout
from tasks.supervised.training import Watch
from tests.support.hidden_states import SMALL
from tests.support.refused import refused
from tests.support.tiny_models import SIZES, tiny_model, tokenizer

CHAT = ChatTokens(tokenizer())
ROWS = [
    CHAT.demonstration([{"role": "user", "content": f"{n}+{n}"}], [("assistant", str(2 * n))])
    for n in range(10, 26)
]


def train(tmp_path, rows=ROWS, *, model=None, seed=0, log=None, **settings):
    """Train a tiny model on these rows and return it."""
    told = {"num_steps": 4, "batch_size": 4, "learning_rate": 1e-2, "warmup_steps": 0}
    model = model or tiny_model()
    supervise(
        Policy(model, tokenizer()),
        rows,
        SftSettings(**told | settings),
        seed,
        tmp_path,
        Watch(log or (lambda step, metrics: None)),
    )
    return model


def same(first, second):
    """Say whether two models have the same weights, bit for bit."""
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def with_tail(row, token):
    """Return a row that goes on with three masked tokens of this id."""
    return Tokens((*row.ids, *[token] * 3), (*row.is_response, *[False] * 3))


@pytest.mark.medium
def test_masked_tokens_behind_the_last_response_change_nothing(tmp_path):
    first = train(tmp_path, [with_tail(row, 50) for row in ROWS])
    second = train(tmp_path, [with_tail(row, 60) for row in ROWS])
    assert same(first, second)
    learned = Tokens((*ROWS[0].ids, 50), (*ROWS[0].is_response, True))
    assert not same(first, train(tmp_path, [learned, *ROWS[1:]]))


@pytest.mark.medium
def test_training_is_adamw_on_the_mean_over_the_response_tokens_of_the_batch(tmp_path):
    trained = train(tmp_path, num_steps=3, batch_size=len(ROWS), weight_decay=0.1)
    reference = tiny_model()
    optimizer = torch.optim.AdamW(reference.parameters(), betas=(0.9, 0.95), weight_decay=0.1)
    # A rate of 0.01 that falls in a straight line to 0 behind the third step.
    for rate in (0.01, 0.01 * 2 / 3, 0.01 * 1 / 3):
        losses = []
        for row in ROWS:
            log_probs = reference(torch.tensor([row.ids])).logits[0].log_softmax(-1)
            learned = [place for place, written in enumerate(row.is_response) if written]
            losses += [-log_probs[place - 1, row.ids[place]] for place in learned]
        # Two digits and an end token in each of 16 rows.
        assert len(losses) == 48
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        torch.nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
    for found, expected in zip(trained.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-4)


def trained_by_hand(loss_of_rows):
    """Return a tiny model after one step of AdamW at 0.01 on the loss of all rows."""
    model = tiny_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.9, 0.95), weight_decay=0.01)
    rows = []
    for row in ROWS + LONG:
        log_probs = model(torch.tensor([row.ids])).logits[0].log_softmax(-1)
        learned = [place for place, written in enumerate(row.is_response) if written]
        rows.append(torch.stack([-log_probs[place - 1, row.ids[place]] for place in learned]))
    loss_of_rows(rows).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return model


LONG = [CHAT.demonstration([{"role": "user", "content": "fox"}], [("assistant", "fox " * 6)])]


@pytest.mark.medium
def test_a_mean_over_rows_counts_a_long_response_as_much_as_a_short_one(tmp_path):
    rows = ROWS + LONG
    trained = train(tmp_path, rows, num_steps=1, batch_size=len(rows), loss_mean="rows")
    expected = trained_by_hand(lambda rows: torch.stack([row.mean() for row in rows]).mean())
    other = trained_by_hand(lambda rows: torch.cat(rows).mean())
    gaps = {"rows": [], "tokens": []}
    for found, by_rows, by_tokens in zip(
        *(model.parameters() for model in (trained, expected, other)), strict=True
    ):
        gaps["rows"].append((found - by_rows).abs().max().item())
        gaps["tokens"].append((found - by_tokens).abs().max().item())
    assert max(gaps["rows"]) < 2e-4
    assert max(gaps["tokens"]) > 5e-3


@pytest.mark.medium
def test_no_padding_is_read_and_only_learned_tokens_are_scored(tmp_path):
    model, read, scored = tiny_model(), [], []
    short, long = ROWS[0], LONG[0]
    reads_prefixes_once(model, 1)  # a model is tried once
    model.model.layers[0].mlp.register_forward_pre_hook(
        lambda _, inputs: read.append(inputs[0].shape[:-1].numel())
    )
    model.lm_head.register_forward_pre_hook(lambda _, inputs: scored.append(len(inputs[0])))
    train(tmp_path, [short, long], model=model, num_steps=1, batch_size=2)
    alike = [a == b for a, b in zip(short.ids, long.ids, strict=False)].index(False)
    assert alike > 0
    assert read == [len(short.ids) - 1 + len(long.ids) - 1 - alike]
    assert scored == [sum(short.is_response) + sum(long.is_response)]


@pytest.mark.medium
def test_a_batch_without_a_learned_token_moves_nothing(tmp_path):
    masked = Tokens(ROWS[0].ids, (False,) * len(ROWS[0].ids))
    # One batch has the learned row, the other the masked one.
    told = {"num_steps": 2, "batch_size": 1, "weight_decay": 0.0, "schedule": "constant"}
    model = train(tmp_path, [ROWS[0], masked], model=tiny_model(), **told)
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())
    assert not same(model, tiny_model())


@pytest.mark.medium
def test_a_router_loss_is_learned_beside_the_mean_over_tokens_alone(tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        Qwen3MoeConfig(**SMALL | {"vocab_size": 400}, output_router_logits=True)
    )
    with refused("router-loss"):
        train(tmp_path, model=model, loss_mean="rows")
    monkeypatch.delattr(sft, "ResponseTrainer")  # TRL's own computes it
    before = copy.deepcopy(model)
    assert not same(train(tmp_path, model=model, num_steps=2), before)


@pytest.mark.medium
def test_dropout_acts_on_each_sublayer_and_only_while_it_trains(tmp_path):
    plain, dropped = train(tmp_path), train(tmp_path, dropout=0.2)
    assert not same(plain, dropped)
    assert same(dropped, train(tmp_path, dropout=0.2))
    ids = torch.tensor([ROWS[0].ids])
    model = tiny_model()
    before = model(ids).logits
    with residual_dropout(model, 0.9999):
        torch.testing.assert_close(model(ids).logits, before)  # it only evaluates
        model.train()
        noisy = model(ids).logits
    # What the layers add is gone but for a number in ten thousand: the embeddings alone.
    bare = model.lm_head(model.model.norm(model.model.embed_tokens(ids)))
    torch.testing.assert_close(noisy, bare)
    torch.testing.assert_close(model.eval()(ids).logits, before)


def test_dropout_is_refused_where_it_has_no_place():
    with refused("no-dropout"), residual_dropout(torch.nn.Linear(1, 1), 0.1):
        pass
    with residual_dropout(torch.nn.Linear(1, 1), 0.0):
        pass


def test_settings_that_came_later_are_recorded_only_where_they_are_used():
    plain = SftSettings(num_steps=1, learning_rate=1)
    before = {"num_steps", "batch_size", "learning_rate", "warmup_steps", "weight_decay", "muon"}
    assert plain.model_dump().keys() == before
    used = {"schedule": "cosine", "final_share": 0.1, "loss_mean": "rows", "dropout": 0.2}
    assert SftSettings(num_steps=1, learning_rate=1, **used).model_dump(mode="json") == {
        **plain.model_dump(mode="json"),
        **used,
    }
    assert SftSettings.model_validate(plain.model_dump()) == plain


@pytest.mark.medium
def test_the_loss_falls_and_is_logged_with_its_step(tmp_path):
    logged = []
    train(
        tmp_path,
        num_steps=40,
        warmup_steps=4,
        log=lambda step, metrics: logged.append((step, metrics)),
    )
    assert [step for step, _ in logged] == [10, 20, 30, 40]
    losses = [metrics["loss"] for _, metrics in logged]
    assert losses[-1] < 0.5 * losses[0]
    assert all(metrics.keys() == {"loss", "grad_norm", "learning_rate"} for _, metrics in logged)
    # Step 10 is the ninth after step 1: 9 - 4 warm-up steps down a slope of 36.
    assert logged[0][1]["learning_rate"] == pytest.approx(1e-2 * (1 - 5 / 36))


@pytest.mark.parametrize("muon", [False, True])
@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_bit_for_bit(tmp_path, muon):
    first = train(tmp_path, muon=muon, seed=3)
    torch.rand(5)  # another use of the global generator in between
    assert same(first, train(tmp_path, muon=muon, seed=3))
    assert not same(first, train(tmp_path, muon=muon, seed=4))


@pytest.mark.parametrize("muon", [False, True])
@pytest.mark.slow
def test_the_schedule_reaches_the_optimizer(tmp_path, muon):
    # The first step of a warm-up has a learning rate of 0, so not a bit may move.
    assert same(train(tmp_path, num_steps=1, warmup_steps=10, muon=muon), tiny_model())
    assert not same(train(tmp_path, num_steps=2, warmup_steps=10, muon=muon), tiny_model())


@pytest.mark.medium
def test_training_leaves_no_checkpoint_behind(tmp_path):
    train(tmp_path / "scratch")
    kept = [file.name for file in tmp_path.rglob("*") if file.suffix in {".safetensors", ".pt"}]
    assert kept == []


@pytest.mark.medium
def test_training_leaves_the_tokenizer_as_it_was(tmp_path):
    before = (tokenizer().chat_template, tokenizer().get_vocab(), tokenizer().pad_token)
    train(tmp_path)
    assert (tokenizer().chat_template, tokenizer().get_vocab(), tokenizer().pad_token) == before


def test_no_rows_are_refused(tmp_path):
    with refused("no-demonstration"):
        train(tmp_path, [])


@pytest.mark.medium
def test_a_row_longer_than_the_models_positions_is_refused(tmp_path):
    length = SIZES.max_positions
    fits = Tokens((5,) * length, (False,) + (True,) * (length - 1))
    train(tmp_path, [fits], num_steps=1, batch_size=1)
    too_long = Tokens((5,) * (length + 1), (False,) + (True,) * length)
    with refused("demonstration-too-long", "97", "96"):
        train(tmp_path, [*ROWS, too_long])


def test_rows_without_a_response_token_are_refused(tmp_path):
    masked = [Tokens(row.ids, (False,) * len(row.ids)) for row in ROWS]
    with refused("no-response-token"):
        train(tmp_path, masked)
