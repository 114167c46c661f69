"""Training on packed rows: isolation, the loss by hand, and resuming."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from lineage.store.store import FolderStore
from tasks.mid_training.rows import NOT_LEARNED, pack, plain
from tasks.mid_training.settings import MidTrainingSettings
from tasks.mid_training.train import read_rows
from tasks.model.files import Policy
from tasks.platform.measurements import Measurements
from tasks.platform.resume import States
from tasks.supervised.training import Watch
from tests.sft.test_resume import Killed, KilledError
from tests.support.tiny_models import tiny_model, tokenizer

DOCUMENTS = [[50 + n, 60 + n, 70 + n, 80 + n, 5] for n in range(9)]
ISOLATED = pack(iter(DOCUMENTS), 9, 5)


def train(scratch, rows, model=None, watch=None, **settings):
    told = {"num_steps": 1, "batch_size": len(rows), "learning_rate": 1e-2, "warmup_steps": 0}
    model, seen = model or tiny_model(), Measurements("mid_training")
    num_tokens = read_rows(
        Policy(model, tokenizer()),
        rows,
        MidTrainingSettings(**told | settings),
        3,
        scratch,
        watch or Watch(seen.add),
    )
    return model, {row.name: row.value for row in seen.rows}, num_tokens


@pytest.fixture(scope="module")
def isolated(tmp_path_factory):
    """What training on isolated documents logs, and how many tokens it counts."""
    _, logged, num_tokens = train(tmp_path_factory.mktemp("isolated"), ISOLATED)
    return logged, num_tokens


def losses_of(ids):
    """Return the loss of each token but the first of one text, alone."""
    logits = tiny_model()(torch.tensor([ids])).logits[0, :-1]
    return cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")


def test_an_isolated_document_is_read_as_if_it_were_alone(isolated):
    pieces = []
    for row in ISOLATED:
        starts = [place for place, at in enumerate(row.position_ids) if at == 0]
        ends = [*starts[1:], len(row.input_ids)]
        pieces += [row.input_ids[a:b] for a, b in zip(starts, ends, strict=True)]
    assert len(pieces) > len(ISOLATED)
    expected = torch.cat([losses_of(piece) for piece in pieces if len(piece) > 1])
    learned = sum(label != NOT_LEARNED for row in ISOLATED for label in row.labels[1:])
    assert len(expected) == learned
    logged, num_tokens = isolated
    assert logged["loss"] == pytest.approx(expected.mean().item(), rel=1e-4)
    assert num_tokens == 5 * 9


@pytest.mark.medium
def test_a_plain_row_is_read_as_one_text(tmp_path, isolated):
    rows = [plain(row) for row in ISOLATED]
    expected = torch.cat([losses_of(row.input_ids) for row in rows]).mean().item()
    _, logged, _ = train(tmp_path, rows)
    assert logged["loss"] == pytest.approx(expected, rel=1e-4)
    assert abs(isolated[0]["loss"] - expected) > 0.01


@pytest.mark.medium
def test_a_policy_in_bf16_trains_in_fp32(tmp_path):
    model, _, _ = train(tmp_path, ISOLATED, model=tiny_model().bfloat16())
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


@pytest.mark.medium
def test_a_killed_run_ends_in_the_same_bits_and_the_same_log(tmp_path):
    def run(name, store=None, die_at=None):
        seen = Measurements("mid_training")

        def states(trainer):
            parts = {"trainer": trainer, "measurements": seen}
            return Killed(States(store, "sha256:" + "cd" * 32, parts), 1, die_at, _throw)

        watch = Watch(seen.add, states if store else None)
        settings = {"num_steps": 5, "batch_size": 2, "schedule": "cosine", "final_share": 0.1}
        model, _, num_tokens = train(tmp_path / name, ISOLATED, watch=watch, **settings)
        return model.state_dict(), [row[:3] for row in seen.rows], num_tokens

    expected = run("undisturbed")
    store = FolderStore(tmp_path / "store")
    with pytest.raises(KilledError):
        run("killed", store, 3)
    found = run("resumed", store)
    assert found[1:] == expected[1:]
    assert all(torch.equal(found[0][name], weight) for name, weight in expected[0].items())


def _throw():
    raise KilledError
