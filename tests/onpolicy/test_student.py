"""The student as it learns and as it is saved: precision, checkpointing, adapters."""

import io
import json

import pytest
import torch
from safetensors.torch import load_file

from tasks.model.architecture import blocks, checkpointed
from tasks.model.files import Policy, load_model, save_policy
from tasks.model.log_probs import chosen_hidden, pad_right
from tasks.model.settings import AdapterSettings, Precision
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.settings import LoopSettings
from tasks.onpolicy.student_files import save_student, saving_note
from tasks.platform.progress import Reporter
from tests.onpolicy.test_loop import SCORED, Likelihood
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model, tokenizer
from tests.support.zoo import tiny

pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"  # PEFT's, of transformers
)


def learner_of(model, **told):
    settings = {"num_steps": 4, "learning_rate": 1e-2, "warmup_steps": 0} | told
    return Learner(model, LoopSettings(**settings), 1.0, 0, ["math", "code"], record=True)


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_in_bf16_the_model_computes_in_bf16_and_its_frequencies_stay():
    model = tiny_model()
    learner_of(model, precision=Precision.BF16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert {b.dtype for b in model.buffers()} == {torch.float32}
    tokens = pad_right([[5, 6, 7]], [[False, True, True]], 0)
    assert chosen_hidden(model, tokens).dtype == torch.bfloat16


def test_bf16_learns_nearly_what_fp32_learns_and_moves_less_than_it_could_store():
    metrics, change = [], []
    for precision in Precision:
        model = tiny_model()
        learner = learner_of(model, precision=precision, learning_rate=1e-4)
        before = {name: tensor.clone() for name, tensor in learner.optimizer.masters().items()}
        metrics.append([learner.update(Likelihood(), SCORED, s)["loss"] for s in range(1, 9)])
        after = learner.optimizer.masters()
        change.append(torch.cat([(after[n] - before[n]).flatten() for n in before]))
        assert all(tensor.dtype == torch.float32 for tensor in after.values())
    assert metrics[1] == pytest.approx(metrics[0], rel=0.02)
    assert metrics[1][-1] < metrics[1][0]
    assert torch.cosine_similarity(*change, dim=0) > 0.9


def test_a_checkpoint_in_bf16_is_trained_in_fp32_if_set():
    model = tiny_model().bfloat16()
    learner_of(model)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("precision", list(Precision))
def test_what_is_saved_are_the_masters(tmp_path, precision):
    model = tiny_model()
    learner = learner_of(model, precision=precision)
    learner.update(Likelihood(), SCORED, 1)
    expected = {name: t.clone() for name, t in learner.optimizer.masters().items()}
    loaded = load_model(save_student(learner, tokenizer(), tmp_path / "student"))
    found = dict(loaded.named_parameters())
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert json.loads((tmp_path / "student/config.json").read_text())["dtype"] == "float32"
    computing = torch.bfloat16 if precision is Precision.BF16 else torch.float32
    assert {p.dtype for p in model.parameters()} == {computing}  # and training goes on


@pytest.mark.parametrize("precision", list(Precision))
def test_a_student_is_saved_in_bf16_if_set_and_its_rounding_is_noted(tmp_path, precision):
    model = tiny_model()
    learner = learner_of(model, precision=precision, saved_precision=Precision.BF16)
    learner.update(Likelihood(), SCORED, 1)
    before, holds = state(model), {p.dtype for p in model.parameters()}
    masters = {name: t.clone() for name, t in learner.optimizer.masters().items()}
    note = saving_note(learner)
    loaded = load_model(save_student(learner, tokenizer(), tmp_path / "student"))
    found = dict(loaded.named_parameters())
    assert all(torch.equal(found[name], masters[name].bfloat16()) for name in masters)
    assert json.loads((tmp_path / "student/config.json").read_text())["dtype"] == "bfloat16"
    lost = torch.cat([(masters[n] - found[n].detach().float()).flatten() for n in masters]).norm()
    size = torch.cat([tensor.flatten() for tensor in masters.values()]).norm()
    assert note == {
        "precision": "bf16",
        "rounding": pytest.approx(lost.item() / size.item(), rel=1e-4),
    }
    assert 1e-4 < note["rounding"] < 2**-8
    # Training goes on with what it had.
    assert {p.dtype for p in model.parameters()} == holds
    assert all(torch.equal(state(model)[name], before[name]) for name in before)


def test_a_student_that_is_saved_as_trained_loses_nothing():
    assert saving_note(learner_of(tiny_model())) == {"precision": "fp32"}


def test_a_lora_student_is_merged_in_fp32_and_rounded_once(tmp_path):
    base = save_policy(Policy(tiny_model(), tokenizer()), tmp_path / "base")
    found = []
    for saved in Precision:
        adapter = AdapterSettings(rank=2, alpha=4)
        learner = learner_of(load_model(base), adapter=adapter, saved_precision=saved)
        learner.update(Likelihood(), SCORED, 1)
        found.append(load_model(save_student(learner, tokenizer(), tmp_path / saved.value)))
    whole, short = (dict(model.named_parameters()) for model in found)
    assert {tensor.dtype for tensor in short.values()} == {torch.bfloat16}
    assert all(torch.equal(short[name], whole[name].bfloat16()) for name in whole)


def test_checkpointing_computes_the_blocks_again_and_the_gradients_are_the_same():
    model, runs = tiny_model(), []
    for block in blocks(model):
        block.mlp.register_forward_pre_hook(lambda *_: runs.append(1))
    tokens = pad_right([[5, 6, 7, 8]], [[False, True, True, True]], 0)
    chosen_hidden(model, tokens)  # the first pass over a model also tries what it can do
    found = []
    for context in (torch.enable_grad(), checkpointed(model)):
        runs.clear()
        with context:
            hidden_ND = chosen_hidden(model, tokens)
            hidden_ND.square().sum().backward(retain_graph=True)
            assert len(runs) == (2 if not found else 4)  # two layers, once or twice
            hidden_ND.sin().sum().backward()  # a second source
        found.append([p.grad for p in model.base_model.parameters()])
        model.zero_grad()
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*found, strict=True))
    assert not model.training


def test_a_run_that_checkpoints_learns_the_same():
    models = []
    for checkpointing in (False, True):
        model = tiny_model()
        learner = learner_of(model, activation_checkpointing=checkpointing)
        chosen_hidden(model, pad_right([[5, 6]], [[False, True]], 0))
        runs = []
        blocks(model)[0].mlp.register_forward_pre_hook(lambda *_, runs=runs: runs.append(1))
        learner.update(Likelihood(), SCORED, 1)
        models.append((state(model), len(runs)))
    (plain, once), (again, twice) = models
    assert all(torch.equal(plain[name], again[name]) for name in plain)
    assert twice == 2 * once


@pytest.mark.parametrize("precision", list(Precision))
def test_a_lora_student_learns_and_is_saved_merged_and_apart(tmp_path, precision):
    base = save_policy(Policy(tiny_model(), tokenizer()), tmp_path / "base")
    model = load_model(base)
    learner = learner_of(
        model,
        adapter=AdapterSettings(rank=2, alpha=4),
        precision=precision,
        activation_checkpointing=True,
    )
    losses = [learner.update(Likelihood(), SCORED, step)["loss"] for step in range(1, 7)]
    assert losses[-1] < losses[0]
    parts, masters = learner.optimizer.segment(), learner.optimizer.masters()
    assert all(".lora_" in name for name in masters)
    assert all(".lora_" in name for name in parts["math"])
    folder = save_student(learner, tokenizer(), tmp_path / "student")
    merged, start = load_model(folder), load_model(base).state_dict()
    name = "model.layers.1.mlp.gate_proj"
    a, b = (masters[f"{name}.lora_{factor}.default.weight"] for factor in "AB")
    # Onto the base as it was saved, not onto a copy in bf16: W + (4 / 2) B A.
    torch.testing.assert_close(
        merged.state_dict()[f"{name}.weight"], start[f"{name}.weight"] + 2.0 * b @ a
    )
    unchanged = "model.embed_tokens.weight"
    assert torch.equal(merged.state_dict()[unchanged], start[unchanged])
    apart = load_file(folder / "adapter/adapter_model.safetensors")
    assert torch.equal(apart[f"base_model.model.{name}.lora_A.weight"], a)


def test_a_model_without_marked_layers_is_refused():
    model = tiny_model()
    model.model.layers = torch.nn.ModuleList()
    with refused("unmarked-layers"):
        blocks(model)


def test_a_lora_student_says_that_experts_stay_as_they_are(monkeypatch):
    stream, model = io.StringIO(), tiny("qwen3-moe")
    monkeypatch.setattr("tasks.platform.progress._reporter", Reporter(None, stream))
    # 4 layers of 4 experts, each with three matrices of 32 x 24, among all weights.
    share = 4 * 4 * 3 * 32 * 24 / sum(weight.numel() for weight in model.parameters())
    learner_of(tiny_model(0), adapter=AdapterSettings(rank=2))
    assert not stream.getvalue()
    learner_of(model, adapter=AdapterSettings(rank=2))
    assert f"{share:.0%} of its weights" in stream.getvalue()
