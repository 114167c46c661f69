"""A foundation on someone's Hugging Face model: another architecture, another chat template."""

import json
import shutil

import pytest
import torch
from click.testing import CliRunner
from transformers import LlamaConfig, LlamaForCausalLM

from lineage.artifacts import Artifact, Release, read_manifest
from lineage.registry.registry import Registry
from lineage.store.store import open_store, read_tree
from tasks.contracts.handover import StageLabel
from tasks.model.files import load_policy
from tasks.model.identity import identity_of
from tasks.platform.step_runner import StepRunner
from tasks.rollout.environment import Demonstration, Message, Turn
from tasks.rollout.prompts import write_demonstrations
from tasks.sft.brought import bring_base
from tasks.sft.scratch import make_tokenizer
from tasks.sft.settings import BaseSettings, SftSettings
from tasks.sft.steps import finetune, make_base
from tests.support.mirrors import MemoryMirror
from tests.support.refusals import refusal
from tests.support.refused import refused
from tests.support.templates import text_of
from tests.support.tiny_faculty import PACKAGE, climb
from workflows.cli import main

TEMPLATE = (
    "{% for message in messages %}"
    "[{{ message['role'] }}] {{ message['content'] }}{{ eos_token }}\n"
    "{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
)
SETTINGS = SftSettings(num_steps=2, batch_size=2, learning_rate=1e-3, warmup_steps=0)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory):
    """Return the folder of a Llama as its makers would publish it."""
    folder = tmp_path_factory.mktemp("llama")
    tokenizer = make_tokenizer(["[system] [user] [assistant] spell the word\n"] * 9, 290)
    tokenizer.chat_template = TEMPLATE
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    torch.manual_seed(3)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


def base_from(runner, source, seed=0):
    return make_base(runner, str(source), [], BaseSettings(), seed)


def demonstrations(runner, folder):
    rows = [
        Demonstration((Message("user", f"spell {n}"),), (Turn("assistant", f"-{n}-"),))
        for n in range(4)
    ]
    path = folder / "demonstrations.jsonl"
    write_demonstrations(path, rows)
    return Artifact(kind="dataset", digest=runner.store.put_file(path))


def test_its_weights_tokenizer_and_template_are_taken_as_they_are(runner, tiny_llama):
    base = base_from(runner, tiny_llama)
    ours, theirs = load_policy(runner.store.tree(base.digest)), load_policy(tiny_llama)
    assert type(ours.model) is LlamaForCausalLM
    for name, tensor in theirs.model.state_dict().items():
        torch.testing.assert_close(ours.model.state_dict()[name], tensor, rtol=0, atol=0)
    assert ours.tokenizer.chat_template == TEMPLATE
    assert identity_of(runner.store.tree(base.digest)) == identity_of(tiny_llama)
    derivation = runner.records.read(base.record)
    assert derivation.kind == "base"
    assert str(tiny_llama) not in str(derivation), "the same model elsewhere is the same base"


def test_the_seed_does_not_enter_a_given_base(runner, tiny_llama):
    assert base_from(runner, tiny_llama, seed=1) == base_from(runner, tiny_llama, seed=2)


def test_changed_weights_make_another_base(runner, tiny_llama, tmp_path):
    folder = shutil.copytree(tiny_llama, tmp_path / "llama")
    before = base_from(runner, folder)
    model = load_policy(folder).model
    with torch.no_grad():
        model.lm_head.weight += 1.0
    model.save_pretrained(folder)
    assert base_from(runner, folder).digest != before.digest


@pytest.mark.slow
def test_it_becomes_a_fork_point_that_a_team_climbs_from(
    runner, tiny_llama, tmp_path, teams_on_path
):
    base = base_from(runner, tiny_llama)
    stage = StageLabel(name="fork point sft", owner="foundation")
    made = finetune(runner, base, [demonstrations(runner, tmp_path)], SETTINGS, 0, stage)
    assert made.digest != base.digest
    assert load_policy(runner.store.tree(made.digest)).tokenizer.chat_template == TEMPLATE
    entry = Registry(runner.store).register("fork-point", made, owner="foundation")
    climb(f"{PACKAGE}.shout", fork_point=f"fork-point@{entry.version}")
    release = read_manifest(
        open_store(), Registry(open_store()).resolve("shout@released").digest, Release
    )
    assert release.fork_point.digest == made.digest
    files = {file.path for file in read_tree(open_store(), release.checkpoint.digest).files}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= files
    config = json.loads((open_store().tree(release.checkpoint.digest) / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]


@pytest.fixture
def foundation(monkeypatch):
    """Run the foundation's workflow with less data; return its refusal for a model."""
    from tasks.release import domain

    monkeypatch.setattr(domain, "collect_blend", lambda *_: [])

    def run(source):
        message = refusal("run", "foundation", "--model", str(source))
        assert open_store().keys("records") == []
        return message

    return run


def test_a_model_that_brings_code_is_refused(foundation, tiny_llama, tmp_path):
    folder = shutil.copytree(tiny_llama, tmp_path / "llama")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "modeling.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling.py").write_text("raise SystemExit('the code of the model ran')")
    message = foundation(folder)
    assert "asks to run its own code (auto_map)" in message
    assert "use a model with an architecture in transformers" in message


def test_a_model_of_pickled_weights_is_refused(foundation, tiny_llama, tmp_path):
    folder = shutil.copytree(tiny_llama, tmp_path / "llama")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    message = foundation(folder)
    assert "safetensors" in message
    assert str(folder) in message


def test_a_model_without_a_chat_template_is_a_base_and_no_fork_point(runner, tiny_llama, tmp_path):
    folder = shutil.copytree(tiny_llama, tmp_path / "llama")
    (folder / "chat_template.jinja").unlink()
    with refused("no-chat-template", str(folder)):
        base_from(runner, folder)
    assert runner.records.all() == []
    assert bring_base(runner, str(folder), speaks=False).kind == "checkpoint"
    with refused("no-chat-template", str(folder)):
        base_from(runner, folder)  # it is in the store now


def test_a_folder_that_is_not_there_is_refused(foundation, tmp_path):
    message = foundation(tmp_path / "no-such-model")
    assert "no-such-model" in message
    assert "Repo id must be" not in message


def test_a_folder_without_a_model_is_refused(foundation, tmp_path):
    (tmp_path / "empty").mkdir()
    message = foundation(tmp_path / "empty")
    assert "empty" in message
    assert "config.json" in message


@pytest.mark.medium
def test_a_hub_name_that_cannot_be_fetched_is_refused_by_name(foundation):
    assert "nobody/has-this-model" in foundation("nobody/has-this-model")


@pytest.mark.medium
def test_a_model_is_imported_as_fork_point_without_training_and_teams_climb_from_it(
    tracked_home, tiny_llama, teams_on_path
):
    result = CliRunner().invoke(main, ["checkpoint", "import", str(tiny_llama)])
    assert result.exit_code == 0, result.output
    store = open_store()
    entry = Registry(store).resolve("fork-point@released")
    assert entry.digest in result.output
    records = StepRunner().records
    assert records.read(entry.record).kind == "base"
    assert records.output(entry.record).notes["license"] == "unknown"
    assert "unknown" in result.output
    release = climb(f"{PACKAGE}.shout")
    assert read_manifest(store, release.digest, Release).fork_point.digest == entry.digest


def test_the_license_that_a_person_states_is_recorded(tracked_home, tiny_llama):
    arguments = ["checkpoint", "import", str(tiny_llama), "--as", "base", "--license", "MIT"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    entry = Registry(open_store()).resolve("base@released")
    made = StepRunner().records
    assert made.output(entry.record).notes["license"] == "MIT"
    assert made.read(entry.record).settings["license"] == "MIT"


def test_the_import_prints_that_the_template_is_one_of_ours(tracked_home, tiny_llama, tmp_path):
    for folder, template in (("own", None), ("ours", text_of("qwen3"))):
        copied = shutil.copytree(tiny_llama, tmp_path / folder)
        if template:
            (copied / "chat_template.jinja").write_text(template, "utf-8")
        result = CliRunner().invoke(main, ["checkpoint", "import", str(copied), "--as", "base"])
        assert result.exit_code == 0, result.output
        assert ("training template for qwen3" in result.output) == (folder == "ours")


def test_an_import_of_a_folder_that_is_not_there_leaves_nothing(home, tmp_path):
    message = refusal("checkpoint", "import", str(tmp_path / "none"), "--as", "base")
    assert str(tmp_path / "none") in message
    assert not [key for key in open_store().keys("") if "/registry/" in key]
