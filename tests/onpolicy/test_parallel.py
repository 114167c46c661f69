"""Ranks on the CPU do what one process does: weights, metrics, and each source's part."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tasks.ledger.reader import Ledger
from tasks.model.files import Policy, load_model, save_policy
from tests.support.tiny_models import tiny_model, tokenizer

ROOT = Path(__file__).resolve().parents[2]


def base_model(folder, *, tied):
    """Save the tiny model that all begin with, its head tied to the embedding or not."""
    model = tiny_model()
    if not tied:
        model.config.tie_word_embeddings = False
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach() * 0.9)
    return save_policy(Policy(model, tokenizer()), folder)


def run(program, num_ranks, *arguments):
    """Run a program of ``tests/support`` on so many ranks, or by itself."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_ranks}"]
    done = subprocess.run(
        [
            sys.executable,
            *(launcher if num_ranks else []),
            str(ROOT / "tests" / "support" / program),
            *map(str, arguments),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
        timeout=240,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def launch(folder, num_ranks, *, tied=True, **told):
    """Do the updates on so many ranks; return tensors, metrics and what each rank saw."""
    folder.mkdir()
    told = {"microbatch_tokens": 24, "learning_rate": 1e-2} | told
    told["base"] = str(base_model(folder / "base", tied=tied))
    run("ranks_program.py", num_ranks, folder, json.dumps(told))
    seen = {file.name: json.loads(file.read_text()) for file in folder.glob("seen-*")}
    return load_file(folder / "w"), json.loads((folder / "metrics.json").read_text()), seen


def assert_same(found, expected):
    """Compare tensors, relative to the norm of each, and metrics."""
    assert found[0].keys() == expected[0].keys()
    for name, tensor in expected[0].items():
        kind, error = name.split("/")[0], float((found[0][name] - tensor).norm())
        if kind == "rounding":  # what differs is what rounding is made of
            assert float(found[0][name].abs().max()) < 1e-5
        elif kind in {"weight", "logits"}:
            assert error <= 1e-5 * float(tensor.norm()), name
        else:
            # Where sources cancel to almost nothing, each one's part is its moment over almost
            # nothing: such a weight's parts have fewer digits than their sum has.
            assert error <= 5e-3 * float(tensor.norm()), name
    for ours, theirs in zip(found[1], expected[1], strict=True):
        # The ranks cut microbatches of their own, so these have another padding.
        assert ours.pop("padding") <= 0.1
        assert theirs.pop("padding") <= 0.1
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5)


def ledger_of(folder):
    """Return the rows and the kept rollouts of a ledger."""
    ledger = Ledger.open(folder / "ledger")
    return [row.model_dump() for row in ledger.rows()], [r.model_dump() for r in ledger.rollouts()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_ranks", "told"),
    [
        (2, {}),
        (2, {"tied": False, "inner_updates": 2, "weight_decay": 0.1, "gradient_clip": 0.3}),
        (2, {"activation_checkpointing": True, "normalization": "token_mean"}),
        (4, {}),
        (4, {"tied": False, "inner_updates": 2, "weight_decay": 0.1, "gradient_clip": 0.3}),
    ],
)
def test_ranks_do_what_one_process_does(tmp_path, num_ranks, told):
    alone = launch(tmp_path / "alone", 0, **told)
    ranks = launch(tmp_path / "ranks", num_ranks, **told)
    assert_same(ranks, alone)
    assert len(ranks[2]) == num_ranks
    (ours, kept), (theirs, expected) = map(ledger_of, (tmp_path / "ranks", tmp_path / "alone"))
    assert len(theirs) == 4 * 3
    for found, row in zip(ours, theirs, strict=True):
        assert found.keys() == row.keys()
        assert [v for v in found.values() if not isinstance(v, float)] == [
            v for v in row.values() if not isinstance(v, float)
        ]
        assert [v for v in found.values() if isinstance(v, float)] == pytest.approx(
            [v for v in row.values() if isinstance(v, float)], rel=1e-4, abs=1e-5
        )
    # Four steps of two rollouts of each teacher, in the same order with the same numbers.
    assert len(kept) == 4 * 2 * 2
    for found, rollout in zip(kept, expected, strict=True):
        for source, advantages in rollout.pop("advantages").items():
            assert found["advantages"][source] == pytest.approx(advantages, rel=1e-4, abs=1e-5)
        assert found["weight"] == pytest.approx(rollout.pop("weight"))
        assert rollout.items() <= found.items()


@pytest.mark.slow
@pytest.mark.parametrize("told", [{}, {"adapter": {"rank": 2, "alpha": 4}}])
def test_in_bf16_two_ranks_learn_nearly_what_one_process_does_and_save_it_in_fp32(tmp_path, told):
    told |= {"precision": "bf16", "activation_checkpointing": True, "learning_rate": 1e-3}
    alone = launch(tmp_path / "alone", 0, **told)
    ranks = launch(tmp_path / "ranks", 2, **told)
    for ours, theirs in zip(ranks[1], alone[1], strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=0.02)
        assert ours["gradient_norm"] == pytest.approx(theirs["gradient_norm"], rel=0.05)
    for name, weight in alone[0].items():
        if name.startswith("weight/"):
            assert float((ranks[0][name] - weight).norm()) <= 0.02 * float(weight.norm())
    saved = [load_model(tmp_path / run / "student").state_dict() for run in ("ranks", "alone")]
    base = load_model(tmp_path / "alone/base").state_dict()
    assert saved[0].keys() == saved[1].keys() == base.keys()
    name = "model.layers.1.mlp.up_proj.weight"
    moved = [student[name] - base[name] for student in saved]
    assert float((moved[0] - moved[1]).norm()) <= 0.2 * float(moved[1].norm())
    if not told.get("adapter"):
        assert all(
            torch.equal(saved[0][n.removeprefix("weight/")], ranks[0][n])
            for n in ranks[0]
            if n.startswith("weight/")
        )


@pytest.mark.slow
def test_two_ranks_go_on_from_the_state_of_one_process(tmp_path):
    alone = launch(tmp_path / "alone", 0)
    ranks = launch(tmp_path / "ranks", 2, state=str(tmp_path / "alone"))
    assert_same(ranks, (alone[0], alone[1][2:]))
    state = "optimizer.safetensors"
    ours = launch(tmp_path / "other", 2) and load_file(tmp_path / "other" / state)
    theirs = load_file(tmp_path / "alone" / state)
    assert {name: t.shape for name, t in ours.items()} == {n: t.shape for n, t in theirs.items()}


@pytest.mark.slow
def test_two_ranks_play_each_a_share_and_learn_from_all(tmp_path):
    base = base_model(tmp_path / "base", tied=True)
    for name, num_ranks in (("alone", 0), ("ranks", 2)):
        (tmp_path / name).mkdir()
        run("ranks_play.py", num_ranks, tmp_path / name, base)
    files = [tmp_path / "alone/rollouts-0.json"]
    files += [tmp_path / f"ranks/rollouts-{rank}.json" for rank in (0, 1)]
    alone, first, second = (json.loads(file.read_text()) for file in files)
    assert first == second
    assert len(first) == 3
    assert {len(step) for step in first} == {5}  # an odd number: one rank plays one more
    for ours, theirs in zip(itertools.chain(*first), itertools.chain(*alone), strict=True):
        assert ours.pop("sampler_log_probs") == pytest.approx(
            theirs.pop("sampler_log_probs"), rel=1e-3, abs=1e-4
        )
        assert ours == theirs
    ours, theirs, before = (
        load_model(folder).state_dict()
        for folder in (tmp_path / "ranks/student", tmp_path / "alone/student", base)
    )
    assert sum(not torch.equal(theirs[name], before[name]) for name in before) > len(before) / 2
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, rtol=1e-3, atol=1e-4)
    # By the first rank's clock one state takes so long that no other is due.
    folders = [tmp_path / name / "store/keys/projects/local/states" for name in ("alone", "ranks")]
    assert [len(list(folder.glob("*/0000000*"))) for folder in folders] == [1, 1]
