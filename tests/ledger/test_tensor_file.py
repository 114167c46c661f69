"""A safetensors file that was written tensor by tensor is one like any other."""

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from tasks.ledger import tensor_file
from tasks.ledger.tensor_file import TensorFile, larger_types_first, write_whole_tensors

TENSORS = {
    "b": torch.tensor([[1.5, -2.0, 3.0]]),
    "a": torch.arange(5, dtype=torch.uint8),
    "half": torch.tensor([0.5, 7.0], dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "nothing": torch.zeros(0, 3),
    'quoted " name\\': torch.ones(2, 2)[:, :1],
}


def test_what_was_written_is_read(tmp_path):
    file = tmp_path / "f.safetensors"
    write_whole_tensors(file, TENSORS)
    read = load_file(file)
    assert read.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert read[name].dtype is tensor.dtype
        assert torch.equal(read[name], tensor)


def test_the_metadata_is_kept_and_names_may_be_left_out(tmp_path):
    file = tmp_path / "f.safetensors"
    with TensorFile(file, ["one", "never"], {"about": '{"x": 1}'}) as opened:
        opened.add("one", torch.ones(3))
    with safe_open(file, "pt") as read:
        assert read.metadata() == {"about": '{"x": 1}'}
        assert list(read.keys()) == ["one"]


def test_a_file_may_be_empty(tmp_path):
    write_whole_tensors(tmp_path / "f", {})
    assert load_file(tmp_path / "f") == {}
    with TensorFile(tmp_path / "g", ["never"]):
        pass
    assert load_file(tmp_path / "g") == {}


def test_the_same_tensors_give_the_same_bytes(tmp_path):
    for name in "ab":
        write_whole_tensors(tmp_path / name, TENSORS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_tensors_are_written_in_a_precision(tmp_path):
    file = tmp_path / "f.safetensors"
    write_whole_tensors(file, {"w": torch.tensor([1.0, 1.0 + 2**-20])}, torch.bfloat16)
    assert torch.equal(load_file(file)["w"], torch.ones(2, dtype=torch.bfloat16))


def test_larger_types_come_first(tmp_path):
    assert larger_types_first(TENSORS)[0] == "count"
    with TensorFile(tmp_path / "f", "ab") as opened:
        opened.add("a", torch.zeros(3, dtype=torch.uint8))
        with pytest.raises(RuntimeError, match="smaller type"):
            opened.add("b", torch.zeros(1))


def test_an_unfinished_file_cannot_be_read(tmp_path):
    def write():
        with TensorFile(tmp_path / "f", ["a"]) as opened:
            opened.add("a", torch.ones(2))
            opened.add("b", None)

    with pytest.raises(AttributeError):
        write()
    with pytest.raises(SafetensorError):
        load_file(tmp_path / "f")


@pytest.mark.parametrize("small", [0, 1 << 20])
def test_a_small_file_has_no_room_left_over(tmp_path, monkeypatch, small):
    monkeypatch.setattr(tensor_file, "_SMALL", small)
    write_whole_tensors(tmp_path / "f", TENSORS)
    spaces = 8 if small else 256 * len(TENSORS)
    with (tmp_path / "f").open("rb") as stream:
        header = stream.read(int.from_bytes(stream.read(8), "little"))
    assert abs(len(header) - len(header.rstrip()) - spaces) < (8 if small else 128 * len(TENSORS))
    assert torch.equal(load_file(tmp_path / "f")["b"], TENSORS["b"])
