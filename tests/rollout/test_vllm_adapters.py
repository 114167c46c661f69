"""A LoRA student that goes to a server as an adapter, against a stand-in server."""

import json

import pytest
import torch

from tasks.model.lora import add_adapter
from tasks.model.lora_factors import LoraAdapter
from tasks.model.settings import AdapterSettings
from tasks.rollout.sampling.vllm import adapters
from tasks.rollout.sampling.vllm.adapters import ServedAdapters, refuse_other_names, write_adapter
from tasks.rollout.sampling.vllm.client import VllmClient, VllmError
from tasks.rollout.sampling.vllm.sampler import VllmSampler
from tasks.rollout.sampling.vllm.weight_files import write_weights
from tasks.rollout.sampling.vllm.weights_folder import WeightsFolder
from tasks.rollout.settings import SamplingEngine, SamplingSettings, VllmServer
from tests.support.refused import raised, refused
from tests.support.tiny_models import tiny_model, tokenizer
from tests.support.vllm_stand_in import NAME, StandIn, serving

END = tokenizer().eos_token_id
CONTEXTS = [[5, 6, 7, 8, 9], [10, 11], [5, 6, 7, 8, 12], [15]]
TOKENS = 6
RANK = 2


@pytest.fixture
def stand_in():
    """A server that takes adapters of the student's rank."""
    return StandIn(lora_rank=RANK)


@pytest.fixture
def settings(stand_in, tmp_path):
    with serving(stand_in) as url:
        fields = {"url": url, "served_model": NAME, "weights_folder": str(tmp_path / "weights")}
        yield SamplingSettings(
            max_new_tokens=TOKENS,
            engine=SamplingEngine.VLLM,
            vllm=VllmServer.model_validate(fields | {"timeout_seconds": 5.0}),
        )


def student(b=0.3):
    """Return a LoRA student whose B is filled with a number."""
    model = tiny_model()
    add_adapter(model, AdapterSettings(rank=RANK, alpha=4))
    fill(model, b)
    return model


def fill(model, b):
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(b)


def noise():
    return torch.rand(len(CONTEXTS), TOKENS, generator=torch.Generator().manual_seed(0))


def loaded(stand_in):
    """Return the paths of adapters in the order in which they were loaded."""
    return [b["lora_path"] for b in stand_in.bodies("/v1/load_lora_adapter") if b["lora_path"]]


def test_the_adapter_is_sent_at_every_update_and_the_base_once(settings, stand_in, tmp_path):
    model = student()
    sampler = VllmSampler(model, END, settings)
    first = sampler.sample(CONTEXTS, noise())
    assert sampler.sample(CONTEXTS, noise()) == first
    versions = {stand_in.version}
    for b in (0.4, 0.5):
        fill(model, b)
        assert sampler.sample(CONTEXTS, noise()) != first
        versions.add(stand_in.version)
    assert len(versions) == 3
    assert len(stand_in.bodies("/collective_rpc")) == 1
    assert len(set(loaded(stand_in))) == 3
    assert len(stand_in.bodies("/reset_prefix_cache")) == 3
    # The server holds the bare weights, and the adapter of the last update alone.
    torch.testing.assert_close(stand_in.model.state_dict(), tiny_model().state_dict())
    [(name, adapter)] = stand_in.adapters.items()
    assert {body["model"] for body in stand_in.bodies("/v1/completions")[-len(CONTEXTS) :]} == {
        name
    }
    assert all((part.b_Or == 0.5).all() for part in adapter.modules.values())
    assert [str(left) for left in (tmp_path / "weights").iterdir()] == loaded(stand_in)[-1:]


def test_log_probabilities_are_compared_at_every_update(settings, stand_in):
    model = student(b=0.0)
    sampler = VllmSampler(model, END, settings)
    sampler.sample(CONTEXTS, noise())
    stand_in.adapts = False
    fill(model, 0.3)
    with raised(VllmError, "other-log-probabilities"):
        sampler.sample(CONTEXTS, noise())


def test_a_base_that_changed_is_sent_again(settings, stand_in):
    model = student()
    sampler = VllmSampler(model, END, settings)
    sampler.sample(CONTEXTS, noise())
    before = stand_in.version
    with torch.no_grad():
        model.base_model.norm.weight[3] += 1.0
    sampler.sample(CONTEXTS, noise())
    assert len(stand_in.bodies("/collective_rpc")) == 2
    assert stand_in.version != before
    assert stand_in.model.base_model.norm.weight[3] == model.base_model.norm.weight[3]


def test_a_server_that_was_restarted_between_updates_gets_the_base_again(settings, stand_in):
    model = student()
    sampler = VllmSampler(model, END, settings)
    sampler.sample(CONTEXTS, noise())
    stand_in.version, stand_in.adapters = None, {}
    stand_in.model = tiny_model(seed=78)
    fill(model, 0.4)
    sampler.sample(CONTEXTS, noise())
    assert len(stand_in.bodies("/collective_rpc")) == 2
    torch.testing.assert_close(stand_in.model.state_dict(), tiny_model().state_dict())


def test_a_base_that_was_not_loaded_is_sent_again(settings, stand_in):
    sampler = VllmSampler(student(), END, settings)
    stand_in.forgets = False
    for count in (1, 2):
        with raised(VllmError, "shared-server"):
            sampler.sample(CONTEXTS, noise())
        assert len(stand_in.bodies("/collective_rpc")) == count


@pytest.mark.parametrize("lora_rank", [0, RANK - 1])
def test_a_server_of_a_smaller_rank_is_refused_before_any_weights_are_sent(
    settings, stand_in, tmp_path, lora_rank
):
    stand_in.lora_rank = lora_rank
    before = stand_in.version
    with raised(VllmError, "adapter-not-loaded", f"max_lora_rank {lora_rank}", "at least 2"):
        VllmSampler(student(), END, settings).sample(CONTEXTS, noise())
    assert not stand_in.bodies("/collective_rpc")
    assert stand_in.version == before
    assert not list((tmp_path / "weights").glob("*/config.json"))


def test_a_server_without_the_route_gets_the_student_merged(settings, stand_in):
    stand_in.lora_rank = None
    model = student()
    sampler = VllmSampler(model, END, settings)
    for b in (0.3, 0.4):
        fill(model, b)
        sampler.sample(CONTEXTS, noise())
    assert len(stand_in.bodies("/collective_rpc")) == 2
    assert len(stand_in.bodies("/v1/load_lora_adapter")) == 1  # the look


def test_a_student_without_adapters_looks_for_no_route(settings, stand_in):
    VllmSampler(tiny_model(), END, settings).sample(CONTEXTS, noise())
    assert not stand_in.bodies("/v1/load_lora_adapter")


def test_a_second_run_takes_over_the_server_with_the_same_adapter(settings, stand_in):
    first = VllmSampler(student(), END, settings).sample(CONTEXTS, noise())
    assert VllmSampler(student(), END, settings).sample(CONTEXTS, noise()) == first
    assert len(stand_in.adapters) == 1


def test_a_restarted_server_is_noticed_by_the_adapter_that_it_lacks(settings, stand_in):
    sampler = VllmSampler(student(), END, settings)
    sampler.sample(CONTEXTS, noise())
    stand_in.adapters.clear()
    stand_in.version = None
    with raised(VllmError, "other-weights", "None"):
        sampler.begun(CONTEXTS, noise(), TOKENS)


def test_a_server_that_does_not_answer_leaves_open_whether_it_takes_adapters(settings, stand_in):
    adapters = ServedAdapters(VllmClient(settings.vllm), NAME)
    assert adapters.are_taken()
    stand_in.lora_rank = None
    assert not adapters.are_taken()
    stand_in.refuse_first = 10**6
    hasty = settings.vllm.model_copy(update={"timeout_seconds": 0.1})
    with raised(VllmError, "not-ready"):
        ServedAdapters(VllmClient(hasty), NAME).are_taken()


def test_the_files_are_an_adapter_of_peft_and_their_digest_names_rank_and_scale(tmp_path):
    model = student()
    folder, digest = write_adapter(model, WeightsFolder(tmp_path))
    read = LoraAdapter(folder)
    assert (read.settings.rank, read.settings.alpha) == (RANK, 4)
    read.check_fits(tiny_model())
    assert len(read.modules) == 14  # seven projections of two layers
    config = json.loads((folder / "adapter_config.json").read_text())
    assert sorted(config["target_modules"]) == sorted(read.modules)
    assert write_adapter(model, WeightsFolder(tmp_path))[1] == digest
    model.peft_config["default"].lora_alpha = 8
    assert write_adapter(model, WeightsFolder(tmp_path))[1] != digest


def test_a_digest_ignores_the_order_in_which_peft_writes_modules(tmp_path):
    """It is that of a set of strings, which another process, on another node, has otherwise."""
    folder, digest = write_adapter(student(), WeightsFolder(tmp_path))
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text())
    config["target_modules"] = config["target_modules"][::-1]
    file.write_text(json.dumps(config))
    assert adapters._digest(folder) == digest
    config["lora_alpha"] += 1
    file.write_text(json.dumps(config))
    assert adapters._digest(folder) != digest


def test_modules_that_files_name_otherwise_are_refused(tmp_path):
    model = student()
    base, _ = write_weights(model, WeightsFolder(tmp_path), merged=False)
    refuse_other_names(model, base)
    model.model.layers[0].mlp.other_proj = model.model.layers[0].mlp.up_proj
    del model.model.layers[0].mlp.up_proj
    with refused("adapter-names", "other_proj", "1 modules"):
        refuse_other_names(model, base)
