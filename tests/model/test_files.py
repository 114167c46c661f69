"""Models are normal Hugging Face folders; nothing in one is unpickled or run."""

import json

import pytest
import torch

from tasks.model.bring_in import bring_in
from tasks.model.files import Policy, load_model, load_policy, save_policy
from tests.support.refused import refused
from tests.support.tiny_models import tiny_policy

LOADERS = pytest.mark.parametrize("fetch", [False, True], ids=["load", "fetch"])


def read(folder, *, fetch):
    """Load a folder's policy, directly or by copying it first."""
    return load_policy(bring_in(folder, folder.parent / "copy").folder if fetch else folder)


def change_config(folder, **changed):
    """Write these entries into a saved model's config."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


@pytest.fixture
def policy():
    return tiny_policy(seed=3)


@pytest.fixture
def folder(policy, tmp_path):
    return save_policy(policy, tmp_path / "model")


@LOADERS
def test_a_saved_policy_comes_back_bit_for_bit(policy, folder, fetch):
    loaded = read(folder, fetch=fetch)
    expected = policy.model.state_dict()
    found = loaded.model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@LOADERS
def test_a_saved_tokenizer_comes_back_with_its_template_and_ids(policy, folder, fetch):
    loaded, text = read(folder, fetch=fetch).tokenizer, "<tool_call>12+34</tool_call> fox"
    assert loaded.chat_template == policy.tokenizer.chat_template
    assert loaded.get_vocab() == policy.tokenizer.get_vocab()
    assert loaded.encode(text) == policy.tokenizer.encode(text)
    special = ("eos_token_id", "pad_token_id")
    assert [getattr(loaded, name) for name in special] == [2, 0]


def test_a_folder_holds_safetensors_and_no_other_weights(folder):
    names = {file.name for file in folder.iterdir()}
    assert "model.safetensors" in names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))]


def test_a_model_is_loaded_in_the_precision_that_it_was_saved_in(policy, tmp_path):
    saved = save_policy(Policy(policy.model.bfloat16(), policy.tokenizer), tmp_path / "half")
    assert load_model(saved).dtype == torch.bfloat16


@LOADERS
def test_pickled_weights_are_refused(policy, folder, fetch):
    (folder / "model.safetensors").unlink()
    torch.save(policy.model.state_dict(), folder / "pytorch_model.bin")
    with refused("pickled-weights", "pytorch_model.bin"):
        read(folder, fetch=fetch)


def test_pickled_weights_beside_safetensors_are_not_read(folder):
    (folder / "pytorch_model.bin").write_bytes(b"not even a pickle")
    load_policy(folder)


@pytest.mark.parametrize("kind", ["qwen3", "of-its-own"])
def test_a_model_that_brings_code_is_not_fetched(folder, kind, tmp_path):
    change_config(folder, model_type=kind, auto_map={"AutoModelForCausalLM": "code.Model"})
    with refused("own-code", "auto_map"):
        bring_in(folder, tmp_path / "copy")


def test_code_in_a_folder_does_not_run_when_it_is_loaded(folder):
    ran = folder / "ran"
    (folder / "code.py").write_text(f"open({str(ran)!r}, 'w')\n")
    change_config(
        folder,
        model_type="of-its-own",
        auto_map={"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"},
    )
    with refused("own-code", "auto_map"):
        load_model(folder)
    assert not ran.exists()


def test_attention_is_computed_by_torch_whatever_the_config_wishes(folder):
    change_config(folder, attn_implementation="somebody/kernel")
    assert load_model(folder).config._attn_implementation == "sdpa"


@LOADERS
def test_a_config_that_names_an_attention_kernel_is_refused(folder, fetch):
    change_config(folder, _attn_implementation="somebody/kernel")
    with refused("own-code", "somebody/kernel"):
        read(folder, fetch=fetch)


def test_a_model_with_unknown_logits_is_refused(folder):
    change_config(folder, logit_scale=2.0)  # which this architecture does not apply
    with refused("unknown-logits", "Qwen3ForCausalLM"):
        load_model(folder)


def test_a_config_of_a_larger_model_is_refused_before_it_is_built(folder, monkeypatch):
    change_config(folder, vocab_size=400_000_000)

    def build(*_, **__):
        raise AssertionError("memory for 400 million rows")

    monkeypatch.setattr("tasks.model.files.AutoModelForCausalLM.from_pretrained", build)
    with refused("config-of-other-weights", str(folder)):
        load_model(folder)
