"""A checkpoint in parts holds what the whole model holds, to the bit."""

import pytest
import torch

from tasks.model.files import load_model
from tasks.model.layers import BODY, HEAD, LayerReader, empty_model
from tasks.mopd.teacher_pool.checkpoint import CheckpointFiles
from tests.support import zoo
from tests.support.pool_teachers import change_weights, saved
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model


def reader_of(folder):
    files = CheckpointFiles(folder)
    return LayerReader(empty_model(folder, torch.float32), tuple(files.header)), files.tensors()


@pytest.mark.parametrize(
    "family", ["qwen3", "qwen3-tied", "qwen3-moe", "mixtral", "glm4-moe", "gpt-oss", "gpt2"]
)
def test_all_parts_together_are_the_model(tmp_path, family):
    folder = saved(zoo.tiny(family), tmp_path / "model")
    whole = load_model(folder).state_dict()
    reader, tensors = reader_of(folder)
    assert [*reader.parts][-2:] == [BODY, HEAD]
    found = {}
    for part, names in reader.parts.items():
        read = reader.read(tensors, part)
        assert read.keys() == {*names}
        assert not found.keys() & read.keys()
        found |= read
    assert found.keys() == whole.keys()
    assert all(torch.equal(found[name], whole[name]) for name in whole)


def test_what_a_file_holds_as_it_is_used_is_a_view_of_it(tmp_path):
    reader, tensors = reader_of(saved(tiny_model(), tmp_path / "model"))
    mapped = {tensor.data_ptr() for tensor in tensors.values()}
    for part in reader.parts:
        assert {tensor.data_ptr() for tensor in reader.read(tensors, part).values()} <= mapped


def test_an_empty_model_has_the_buffers_and_no_weights(tmp_path):
    folder = saved(zoo.tiny("gemma3"), tmp_path / "model")
    empty, whole = empty_model(folder, torch.float32), load_model(folder)
    assert all(parameter.is_meta for parameter in empty.parameters())
    buffers = dict(whole.named_buffers())
    assert buffers
    for name, buffer in empty.named_buffers():
        assert torch.equal(buffer, buffers.pop(name))
    assert not buffers


def test_a_part_without_a_weight_is_refused(tmp_path):
    folder = saved(tiny_model(), tmp_path / "model")
    change_weights(folder, model__layers__1__mlp__up_proj__weight=None)
    reader, tensors = reader_of(folder)
    reader.read(tensors, "model.layers.0")
    with refused("missing-weights", "model.layers.1.mlp.up_proj.weight"):
        reader.read(tensors, "model.layers.1")


def test_a_weight_of_another_shape_is_refused(tmp_path):
    folder = saved(tiny_model(), tmp_path / "model")
    change_weights(folder, model__layers__1__mlp__up_proj__weight=torch.zeros(3, 16))
    reader, tensors = reader_of(folder)
    with refused("missing-weights", "model.layers.1.mlp.up_proj.weight"):
        reader.read(tensors, "model.layers.1")
