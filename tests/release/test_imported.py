"""A checkpoint that was trained elsewhere is what its team declares, or it does not come in."""

import json

import pytest
import torch

from lineage.declared import Declared
from tasks.model.files import Policy, load_policy, save_policy
from tasks.model.lora import add_adapter, merged_weights, save_adapter
from tasks.model.settings import AdapterSettings
from tasks.platform.step_runner import StepRunner
from tasks.release.checkpoints import register_checkpoint
from tasks.release.imported import import_teacher
from tasks.release.settings import ImportSettings
from tasks.sft.brought import bring_base
from tests.support.mirrors import MemoryMirror
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model, tiny_policy, tokenizer, with_template

pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"  # PEFT's, of transformers
)
LORA = AdapterSettings(rank=2, alpha=6, seed=3)


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


def registered(runner, policy, folder, name="fork-point"):
    made = bring_base(runner, str(save_policy(policy, folder)), "MIT")
    return register_checkpoint(runner, name, made, "foundation")


@pytest.fixture
def start(runner, tmp_path):
    return registered(runner, tiny_policy(seed=3), tmp_path / "start")


@pytest.fixture
def bring(runner, start):
    def bring(source, **declared):
        settings = ImportSettings(
            source=str(source),
            domain="math",
            owner="team-math",
            license="MIT",
            declared=Declared(**declared),
        )
        [rung] = import_teacher(runner, settings, start)
        return rung.checkpoint

    return bring


def moved(seed=3, size=0.01, **changed):
    """Return a policy whose weights are near those of the model of a seed."""
    model = tiny_model(seed, **changed)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            weight += size * torch.randn(weight.shape, generator=generator)
    return Policy(model, tokenizer())


@pytest.fixture
def refuses(runner, bring, start):
    """Say that a source is refused with a code, and that nothing is written."""

    def check(source, code, *names):
        before = runner.records.all()
        with refused(code, *names):
            bring(source)
        assert runner.records.all() == before

    return check


def test_a_child_of_the_fork_point_comes_in_with_what_is_known_and_what_was_measured(
    runner, bring, start, tmp_path
):
    policy = moved()
    made = bring(save_policy(policy, tmp_path / "verl"), trainer="verl 0.9.0", seed="7")
    derivation = runner.records.read(made.record)
    assert derivation.kind == "import"
    [declared] = derivation.inputs
    assert (declared.role, declared.artifact) == ("declared_start", start.digest)
    assert derivation.settings["declared"]["trainer"] == "verl 0.9.0"
    assert derivation.settings["declared"]["sft_data"] == ""
    assert "model.safetensors" in derivation.settings["files"]
    notes = runner.records.output(made.record).notes
    assert notes["license"] == "MIT"
    assert notes["ancestry"]["projection"] == pytest.approx(1.0, abs=0.05)
    assert 0 < notes["ancestry"]["distance"] < 0.2
    found = load_policy(runner.store.tree(made.digest)).model.state_dict()
    for name, weight in policy.model.state_dict().items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=0)


def test_a_stranger_of_the_same_shapes_is_refused_with_the_measurement(refuses, tmp_path):
    source = save_policy(tiny_policy(seed=4), tmp_path / "other")
    refuses(source, "contradicted-fork-point", "%")


def test_a_child_of_another_fork_point_is_refused_and_that_one_is_named(runner, refuses, tmp_path):
    registered(runner, moved(size=0.05), tmp_path / "second", "fork-point-2")
    refuses(
        save_policy(moved(size=0.06), tmp_path / "teacher"),  # 0.01 from that one, 0.06 from ours
        "contradicted-fork-point",
        "fork-point-2@1 is nearer",
    )


def test_the_fork_point_itself_has_nothing_to_teach(refuses, tmp_path):
    refuses(save_policy(tiny_policy(seed=3), tmp_path / "same"), "nothing-learned")


def test_other_sizes_are_refused_by_the_first_weight_that_differs(refuses, tmp_path):
    source = save_policy(Policy(tiny_model(3, num_layers=3), tokenizer()), tmp_path / "deep")
    refuses(source, "contradicted-fork-point", "model.layers.2")


def test_another_end_token_and_template_are_named(refuses, tmp_path):
    other = with_template("{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}")
    other.eos_token = "<|im_start|>"
    source = save_policy(Policy(moved().model, other), tmp_path / "teacher")
    refuses(source, "other-tokenizer", "eos_token", "'<|im_start|>'", "chat template")


def test_another_pad_token_is_of_no_consequence(runner, bring, start, tmp_path):
    other = with_template(tokenizer().chat_template)
    other.pad_token = other.eos_token
    made = bring(save_policy(Policy(moved().model, other), tmp_path / "teacher"))
    assert load_policy(runner.store.tree(made.digest)).tokenizer.pad_token_id == 0


def test_padding_rows_of_a_teacher_are_trimmed_and_noted(runner, bring, tmp_path):
    policy = moved()
    policy.model.resize_token_embeddings(408)
    made = bring(save_policy(policy, tmp_path / "padded"))
    assert load_policy(runner.store.tree(made.digest)).model.config.vocab_size == 280
    assert runner.records.output(made.record).notes["trimmed_rows"] == [280, 408]


def adapter(folder, base=None):
    """Write an adapter of the fork point as PEFT does; return the weights with it merged."""
    model = tiny_model(3) if base is None else base
    add_adapter(model, LORA)
    generator = torch.Generator().manual_seed(7)
    weights = {name: p for name, p in model.named_parameters() if ".lora_" in name}
    for weight in weights.values():
        weight.data = 0.1 * torch.randn(weight.shape, generator=generator)
    save_adapter(weights, LORA, folder)
    return merged_weights(model)


def named(folder, base):
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": base}))


def test_an_adapter_is_merged_into_the_fork_point(runner, bring, tmp_path):
    expected = adapter(tmp_path / "lora")
    named(tmp_path / "lora", str(tmp_path / "start"))
    made = bring(tmp_path / "lora")
    found = load_policy(runner.store.tree(made.digest)).model.state_dict()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-6, atol=1e-6)
    assert runner.records.output(made.record).notes["merged"] == "a LoRA adapter"


def test_an_adapter_of_another_base_is_refused_by_its_shapes(refuses, tmp_path):
    adapter(tmp_path / "lora", tiny_model(3, feed_forward_size=48))
    refuses(tmp_path / "lora", "adapter-of-other-base", "mlp")


def test_an_adapter_that_names_a_base_with_other_weights_is_refused(refuses, tmp_path):
    adapter(tmp_path / "lora")
    other = save_policy(tiny_policy(seed=4), tmp_path / "other")
    named(tmp_path / "lora", str(other))
    refuses(tmp_path / "lora", "adapter-of-other-base", str(other))


def test_a_folder_without_a_model_is_refused(refuses, tmp_path):
    (tmp_path / "model_world_size_1_rank_0.pt").write_bytes(b"")
    refuses(tmp_path, "pickled-weights", "verl")


def test_it_is_imported_once(bring, tmp_path):
    source = save_policy(moved(), tmp_path / "teacher")
    assert bring(source) == bring(source)
    assert bring(source, seed="1") != bring(source)
