"""The files that a server loads: part by part they hold the model, and there is room for them."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from tasks.model.files import load_model
from tasks.model.lora import add_adapter, merged_weights
from tasks.model.settings import AdapterSettings
from tasks.rollout.sampling.vllm import weight_files, weights_folder
from tasks.rollout.sampling.vllm.client import VllmError
from tasks.rollout.sampling.vllm.probe import most_shared
from tasks.rollout.sampling.vllm.sampler import VllmSampler
from tasks.rollout.sampling.vllm.weight_files import write_weights
from tasks.rollout.sampling.vllm.weights import together
from tasks.rollout.sampling.vllm.weights_folder import WeightsFolder
from tasks.rollout.settings import SamplingEngine, SamplingSettings, VllmServer
from tests.support import zoo
from tests.support.pool_teachers import saved
from tests.support.refused import raised, refused
from tests.support.tiny_models import tiny_model, tokenizer
from tests.support.vllm_stand_in import NAME, StandIn, serving

_WHOLE = "model.safetensors"


@pytest.mark.parametrize("family", ["qwen3-tied", "qwen3-moe", "glm4-moe", "gpt2"])
def test_parts_are_files_of_a_checkpoint(tmp_path, family):
    model = load_model(saved(zoo.tiny(family), tmp_path / "saved"))
    weight_files._write_parts(model, tmp_path / "parts", WeightsFolder(tmp_path), merged=True)
    names = [
        name for file in (tmp_path / "parts").glob("*.safetensors") for name in load_file(file)
    ]
    assert len(names) == len(set(names))
    whole = load_file(tmp_path / "saved" / "model.safetensors")
    head = {"lm_head.weight"} if getattr(model, "all_tied_weights_keys", {}) else set()
    assert {*names} == {*whole} | head
    for file in (tmp_path / "parts").glob("*.safetensors"):
        for name, tensor in load_file(file).items():
            assert torch.equal(tensor, whole.get(name, model.lm_head.weight))


@pytest.mark.parametrize("merged", [True, False])
def test_an_adapter_is_merged_into_the_parts_or_left_out(tmp_path, merged):
    model = tiny_model()
    add_adapter(model, AdapterSettings(rank=2, alpha=4.0))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.3)
    weight_files._write_parts(model, tmp_path / "parts", WeightsFolder(tmp_path), merged=merged)
    found = {}
    for file in (tmp_path / "parts").glob("*.safetensors"):
        found |= load_file(file)
    alone = load_file(
        write_weights(model, WeightsFolder(tmp_path / "alone"), merged=merged)[0] / _WHOLE
    )
    expected = merged_weights(model) if merged else tiny_model().state_dict()
    assert alone.keys() == expected.keys()
    assert all(torch.equal(alone[name], tensor) for name, tensor in expected.items())
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor)


def test_equal_weights_have_one_name_and_others_another(tmp_path):
    first, digest = write_weights(tiny_model(0), WeightsFolder(tmp_path / "a"))
    again, same = write_weights(tiny_model(0), WeightsFolder(tmp_path / "b"))
    assert first.name == again.name
    assert digest == same == f"sha256:{first.name}"
    assert write_weights(tiny_model(1), WeightsFolder(tmp_path / "b"))[1] != digest


def with_free_space(monkeypatch, number):
    """Let every disk have so many free bytes."""
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=number))


def size_of(model):
    """Return the bytes of a tied model's parameters, and of its head, which is written too."""
    assert model.lm_head.weight is model.get_input_embeddings().weight
    return sum(p.nbytes for p in model.parameters()) + model.lm_head.weight.nbytes


def test_a_folder_without_room_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    model, folder = tiny_model(), WeightsFolder(tmp_path / "weights")
    needed = size_of(model)
    with_free_space(monkeypatch, needed - 1)
    with refused("too-little-room", "weights_folder"):
        write_weights(model, folder)
    assert not list(folder.path.iterdir())
    with_free_space(monkeypatch, needed)
    written, _ = write_weights(model, folder)
    held = sum(t.nbytes for t in load_file(written / _WHOLE).values())
    assert held == needed


def sampler_of(model, url, folder):
    served = server(url=url, served_model=NAME, weights_folder=str(folder))
    told = SamplingSettings(max_new_tokens=4, engine=SamplingEngine.VLLM, vllm=served)
    return VllmSampler(model, tokenizer().eos_token_id, told)


def test_room_for_the_second_update_is_needed_at_the_first(tmp_path, monkeypatch):
    """With room for one copy, the second update would end a run that has trained a step."""
    model, stand_in = tiny_model(), StandIn()
    with serving(stand_in) as url:
        with_free_space(monkeypatch, 2 * size_of(model) - 1)
        with refused("too-little-room", "two copies"):
            sampler_of(model, url, tmp_path / "weights").sample([[5, 6]], torch.rand(1, 4))
        assert not stand_in.bodies("/v1/completions")
        with_free_space(monkeypatch, 2 * size_of(model))
        sampler_of(model, url, tmp_path / "weights").sample([[5, 6]], torch.rand(1, 4))


def test_where_adapters_go_alone_there_is_room_for_the_base_and_two_of_them(tmp_path, monkeypatch):
    model, stand_in = tiny_model(), StandIn(lora_rank=2)
    base = size_of(model)
    add_adapter(model, AdapterSettings(rank=2, alpha=4.0))
    adapter = sum(p.nbytes for name, p in model.named_parameters() if "lora_" in name)
    with serving(stand_in) as url:
        with_free_space(monkeypatch, base + 2 * adapter - 1)
        with refused("too-little-room", "adapter"):
            sampler_of(model, url, tmp_path / "weights").sample([[5, 6]], torch.rand(1, 4))
        assert not stand_in.bodies("/v1/completions")
        with_free_space(monkeypatch, base + 2 * adapter)
        sampler_of(model, url, tmp_path / "weights").sample([[5, 6]], torch.rand(1, 4))


def test_what_a_run_before_left_is_removed_and_other_files_are_not(tmp_path):
    folder = tmp_path / "weights"
    for name in ("a" * 64, f"adapter-{'b' * 64}", "partial", "partial-adapter", "mine"):
        (folder / name).mkdir(parents=True)
    (folder / "notes.txt").touch()
    WeightsFolder(folder).keep_only(None)
    assert {each.name for each in folder.iterdir()} == {"mine", "notes.txt"}


@pytest.mark.parametrize(
    ("seen", "groups"),
    [
        ([[0]], [[0]]),
        ([[0, 1, 2], [0, 1, 2], [0, 1, 2]], [[0, 1, 2]]),
        ([[0, 1], [0, 1], [2, 3], [2, 3]], [[0, 1], [2, 3]]),
        ([[0, 2], [1], [0, 2]], [[0, 2], [1]]),
    ],
)
def test_ranks_that_see_each_others_files_share_a_folder(seen, groups):
    assert weights_folder._groups(seen) == groups


@pytest.mark.parametrize(
    "seen", [[[0, 1], [1]], [[0], [0, 1]], [[1], [1]], [[0, 1], [0, 1, 2], [1, 2]]]
)
def test_ranks_that_see_files_in_one_direction_are_refused(seen):
    with refused("folder-not-shared"):
        weights_folder._groups(seen)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1], [2], [3], [4], [5]], [0, 1, 2, 3]),
        ([[9], [1, 2, 3], [8], [1, 2, 4], [7], [1, 5]], [3, 5, 0, 1]),
        ([[1, 2, 3, 4], [1, 2], [1, 2, 3]], [0, 2, 1]),
        ([], []),
    ],
)
def test_rows_behind_the_longest_shared_prefix_are_compared(rows, expected):
    assert most_shared(rows) == expected


def server(**changed):
    told = {"url": "http://127.0.0.1:1", "served_model": "policy", "weights_folder": "/w"}
    return VllmServer.model_validate(told | changed)


def test_servers_are_different_and_have_addresses():
    assert server().urls == ("http://127.0.0.1:1",)
    assert "other_urls" not in server().model_dump()
    assert server(other_urls=["http://127.0.0.1:2/"]).urls[1] == "http://127.0.0.1:2"
    with pytest.raises(ValueError, match="not all different"):
        server(other_urls=["http://127.0.0.1:1/"])
    with pytest.raises(ValueError, match="not a server address"):
        server(other_urls=["127.0.0.1"])


def test_more_servers_than_ranks_are_refused():
    two = server(other_urls=["http://127.0.0.1:2"])
    told = SamplingSettings(engine=SamplingEngine.VLLM, vllm=two)
    with refused("idle-servers", "2 vLLM servers"):
        VllmSampler(tiny_model(), 1, told)


def test_what_fails_here_is_raised_as_it_is():
    def fail():
        raise VllmError("no-answer", "the server is gone")

    with raised(VllmError, "no-answer", "the server is gone"):
        together(fail)
    together(lambda: None)
