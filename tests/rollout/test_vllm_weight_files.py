"""The files that a server loads: part by part they hold the model, and there is room for them."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from tasks.model.files import load_model
from tasks.model.lora import add_adapter, merged_weights
from tasks.model.settings import AdapterSettings
from tasks.rollout.sampling.vllm import weight_files
from tasks.rollout.sampling.vllm.client import VllmError
from tasks.rollout.sampling.vllm.probe import most_shared
from tasks.rollout.sampling.vllm.sampler import VllmSampler
from tasks.rollout.sampling.vllm.weight_files import write_weights
from tasks.rollout.sampling.vllm.weights import together
from tasks.rollout.settings import SamplingEngine, SamplingSettings, VllmServer
from tests.support import zoo
from tests.support.pool_teachers import saved
from tests.support.refused import raised, refused
from tests.support.tiny_models import tiny_model

_WHOLE = "model.safetensors"


@pytest.mark.parametrize("family", ["qwen3-tied", "qwen3-moe", "glm4-moe", "gpt2"])
def test_parts_are_files_of_a_checkpoint(tmp_path, family):
    model = load_model(saved(zoo.tiny(family), tmp_path / "saved"))
    weight_files._write_parts(model, tmp_path / "parts", merged=True)
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
    weight_files._write_parts(model, tmp_path / "parts", merged=merged)
    found = {}
    for file in (tmp_path / "parts").glob("*.safetensors"):
        found |= load_file(file)
    alone = load_file(write_weights(model, tmp_path / "alone", merged=merged)[0] / _WHOLE)
    expected = merged_weights(model) if merged else tiny_model().state_dict()
    assert alone.keys() == expected.keys()
    assert all(torch.equal(alone[name], tensor) for name, tensor in expected.items())
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor)


def test_equal_weights_have_one_name_and_others_another(tmp_path):
    first, digest = write_weights(tiny_model(0), tmp_path / "a")
    again, same = write_weights(tiny_model(0), tmp_path / "b")
    assert first.name == again.name
    assert digest == same == f"sha256:{first.name}"
    assert write_weights(tiny_model(1), tmp_path / "b")[1] != digest


def test_a_folder_without_room_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    model = tiny_model()
    needed = sum(parameter.nbytes for parameter in model.parameters())
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed - 1))
    with refused("too-little-room", "weights_folder"):
        write_weights(model, tmp_path / "weights")
    assert not list((tmp_path / "weights").iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed))
    assert write_weights(model, tmp_path / "weights")[0].is_dir()


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
