"""A config that asks for more than its weights is refused before a model is built of it."""

import json
import struct
import subprocess
import sys
import time

import pytest

from lineage.errors import RefusedFileError
from lineage.store.store import read_tree
from lineage.store.tree import Tree, TreeFile

SIZES = {
    "model_type": "qwen3",
    "vocab_size": 32,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 1_000_000,
    "rope_theta": 10_000_000,
}
SHAPES = {"embed": [32, 8], "layers.0.up": [16, 8], "layers.1.up": [16, 8]}


def model(folder, changes=(), shapes=SHAPES):
    folder.mkdir()
    config = SIZES | dict(changes)
    (folder / "config.json").write_text(json.dumps(config))
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4 * shape[0] * shape[1]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    write(folder / "model.safetensors", header, bytes(at))
    return folder


def write(path, header, body):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def test_a_config_that_fits_its_weights_is_taken(store, tmp_path):
    digest = store.put_tree(model(tmp_path / "in"))
    assert (store.tree(digest) / "config.json").is_file()


@pytest.mark.parametrize(
    "changes",
    [
        {"vocab_size": 400_000_000},
        {"vocab_size": 257},  # 8 numbers in an element, 32 rows
        {"num_hidden_layers": 100_000},
        {"num_hidden_layers": 4},
        {"hidden_size": 10**6},
        {"intermediate_size": 10**30},
        {"num_experts": 10**6},
        {"num_hidden_layers": -1},
        {"text_config": {"num_hidden_layers": 100_000}},
        {"parts": [{"vocab_size": 400_000_000}]},
        {"vocab_size": 250, "hidden_size": 250},  # each alone could be
    ],
)
def test_a_config_that_asks_for_more_is_refused(store, tmp_path, changes):
    folder = model(tmp_path / "in", changes)
    with pytest.raises(RefusedFileError):
        store.put_tree(folder)
    files = tuple(
        TreeFile(path.name, path.stat().st_size, store.put_file(path))
        for path in sorted(folder.iterdir())
    )
    foreign = store.put_bytes(Tree(files).to_bytes())
    assert len(read_tree(store, foreign).files) == 2
    with pytest.raises(RefusedFileError):
        store.tree(foreign)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [400_000_000, 8], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0]},
        {"dtype": "F32", "data_offsets": [0, 4]},
        [],
    ],
)
def test_a_shape_that_its_bytes_cannot_hold_is_refused(store, tmp_path, entry):
    folder = model(tmp_path / "in")
    write(folder / "model.safetensors", {"w": entry}, bytes(4))
    with pytest.raises(RefusedFileError):
        store.put_tree(folder)


def test_no_memory_and_no_time_is_taken_for_what_is_refused(store, tmp_path):
    folder = model(tmp_path / "in", {"vocab_size": 400_000_000, "num_hidden_layers": 100_000})
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from lineage.store.store import FolderStore\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (512 << 20, 512 << 20))\n"
        "FolderStore(Path(sys.argv[1])).put_tree(Path(sys.argv[2]))"
    )
    started = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-c", code, store.uri, str(folder)], capture_output=True, text=True
    )
    assert "RefusedFileError" in run.stderr
    assert time.monotonic() - started < 20
