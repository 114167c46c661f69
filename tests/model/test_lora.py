"""A LoRA student: what it computes by hand, what it trains, what it leaves behind."""

import json
import sys

import pytest
import torch

from tasks.model.lora import add_adapter, load_adapter, merged_weights, save_adapter
from tasks.model.lora_factors import LoraAdapter
from tasks.model.settings import AdapterSettings
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model

pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"  # PEFT's, of transformers
)
SETTINGS = AdapterSettings(rank=2, alpha=6, seed=3)
IDS = torch.tensor([[5, 6, 7, 8]])
PROJECTIONS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def factors(model):
    """Return A and B by name."""
    return {name: p for name, p in model.named_parameters() if ".lora_" in name}


def adapted(*, drawn=True):
    """Return a model with adapters; with B drawn, so that they do something."""
    model = tiny_model()
    add_adapter(model, SETTINGS)
    generator = torch.Generator().manual_seed(7)
    for name, parameter in factors(model).items():
        if drawn and ".lora_B." in name:
            parameter.data = torch.randn(parameter.shape, generator=generator)
    return model


def test_every_projection_has_an_adapter_and_only_adapters_are_trained():
    model = adapted()
    assert {name.split(".")[4] for name in factors(model)} == PROJECTIONS
    assert len(factors(model)) == 2 * 2 * len(PROJECTIONS)  # A and B in each of two layers
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == factors(model).keys()
    assert not model.training


def test_a_new_adapter_changes_nothing():
    assert torch.equal(adapted(drawn=False)(IDS).logits, tiny_model()(IDS).logits)


def test_a_projection_with_its_adapter_is_the_sum_by_hand():
    model, bare = adapted(), tiny_model()
    x = torch.linspace(-1, 1, 16)
    name = "model.layers.1.mlp.up_proj"
    a = factors(model)[f"{name}.lora_A.default.weight"]
    b = factors(model)[f"{name}.lora_B.default.weight"]
    # y = W x + (6 / 2) B A x
    expected = bare.get_submodule(name).weight @ x + 3.0 * (b @ (a @ x))
    torch.testing.assert_close(model.get_submodule(name)(x), expected)


def test_the_gradients_of_both_factors_by_hand():
    model = adapted()
    name = "model.layers.0.self_attn.q_proj"
    module = model.get_submodule(name)
    x, g = torch.linspace(-1, 1, 16), torch.linspace(1, 2, 16)
    (module(x) * g).sum().backward()
    found = {key: p for key, p in factors(model).items() if key.startswith(name)}
    a, b = (found[f"{name}.lora_{factor}.default.weight"] for factor in "AB")
    # of g . (3 B A x): to B it is 3 g (A x)^T, to A it is 3 B^T g x^T.
    torch.testing.assert_close(b.grad, 3.0 * torch.outer(g, a.detach() @ x))
    torch.testing.assert_close(a.grad, 3.0 * torch.outer(b.detach().T @ g, x))


def test_the_first_values_are_those_of_the_seed_and_disturb_no_other_draw():
    one, two = tiny_model(), tiny_model()
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    add_adapter(one, SETTINGS)
    assert torch.equal(torch.rand(3), expected)
    add_adapter(two, SETTINGS)
    assert all(torch.equal(p, factors(two)[name]) for name, p in factors(one).items())
    other = tiny_model()
    add_adapter(other, SETTINGS.model_copy(update={"seed": 4}))
    assert any(not torch.equal(p, factors(other)[name]) for name, p in factors(one).items())


def test_a_saved_adapter_comes_back_here_and_in_peft(tmp_path):
    from peft import PeftModel

    model = adapted()
    folder = save_adapter(factors(model), SETTINGS, tmp_path / "adapter")
    again = tiny_model()
    load_adapter(again, folder)
    assert torch.equal(again(IDS).logits, model(IDS).logits)
    theirs = PeftModel.from_pretrained(tiny_model(), str(folder))
    torch.testing.assert_close(theirs(IDS).logits, model(IDS).logits)
    assert not torch.allclose(model(IDS).logits, tiny_model()(IDS).logits)
    names = {file.name for file in folder.iterdir()}
    assert names == {"adapter_config.json", "adapter_model.safetensors"}


def test_merged_weights_are_a_bare_model_with_the_same_predictions(tmp_path):
    model = adapted()
    merged = merged_weights(model)
    bare = tiny_model()
    assert merged.keys() == bare.state_dict().keys()
    name = "model.layers.0.self_attn.o_proj"
    a, b = (factors(model)[f"{name}.lora_{factor}.default.weight"] for factor in "AB")
    expected = bare.state_dict()[f"{name}.weight"] + 3.0 * b @ a
    torch.testing.assert_close(merged[f"{name}.weight"], expected)
    bare.load_state_dict(merged)
    torch.testing.assert_close(bare(IDS).logits, model(IDS).logits, rtol=1e-4, atol=1e-5)


def test_an_adapter_with_scales_of_its_own_is_not_trained_on(tmp_path):
    folder = save_adapter(factors(adapted()), SETTINGS, tmp_path / "adapter")
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text())
    assert LoraAdapter(folder).settings == AdapterSettings(rank=2, alpha=6)
    file.write_text(json.dumps(config | {"alpha_pattern": {"q_proj": 4}}))
    with refused("own-scales"):
        load_adapter(tiny_model(), folder)


def test_an_adapter_of_another_model_is_refused(tmp_path):
    folder = save_adapter(factors(adapted()), SETTINGS, tmp_path / "adapter")
    with refused("adapter-of-other-model"):
        load_adapter(tiny_model(num_layers=3), folder)
    with refused("adapter-of-other-model"):
        load_adapter(tiny_model(hidden_size=32), folder)


def test_without_peft_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModuleNotFoundError, match=r"provost\[lora\]"):
        add_adapter(tiny_model(), SETTINGS)
