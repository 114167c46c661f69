"""Weights lie in their own tree, and a tree is there when all of its blobs are."""

import json

import pytest

from lineage.errors import RefusedFileError
from lineage.store.store import read_tree
from lineage.store.tree import Tree, TreeFile
from tests.support.making import checkpoint, safetensors


def sharded(folder, weight_map):
    """Return a checkpoint in two shards with this index."""
    checkpoint(folder)
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    (folder / "model-00002-of-00002.safetensors").write_bytes(safetensors(b"\7"))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


SHARDS = {"w": "model-00001-of-00002.safetensors", "v": "model-00002-of-00002.safetensors"}


def test_a_sharded_checkpoint_comes_back(store, tmp_path):
    folder = store.tree(store.put_tree(sharded(tmp_path / "model", SHARDS)))
    assert set(SHARDS.values()) <= {file.name for file in folder.iterdir()}


@pytest.mark.parametrize(
    "shard",
    [
        "../outside.safetensors",
        "/etc/outside.safetensors",
        "nested/../model-00001-of-00002.safetensors",
        "model-00003-of-00002.safetensors",
        "..",
        "",
        7,
        ["model-00001-of-00002.safetensors"],
    ],
)
def test_an_index_names_files_of_its_own_folder_only(store, tmp_path, shard):
    (tmp_path / "outside.safetensors").write_bytes(safetensors())
    folder = sharded(tmp_path / "model", SHARDS | {"v": shard})
    with pytest.raises(RefusedFileError):
        store.put_tree(folder)
    # A tree that another program put is refused when it is read.
    files = tuple(
        TreeFile(path.relative_to(folder).as_posix(), path.stat().st_size, store.put_file(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )
    with pytest.raises(RefusedFileError):
        store.tree(store.put_bytes(Tree(files).to_bytes()))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MODEL.safetensors.INDEX.JSON", '{"weight_map": {"w": "../outside.safetensors"}}'),
        ("model.\u017fafetensors.index.json", '{"weight_map": {"w": "../outside.safetensors"}}'),
        ("CONFIG.json", '{"auto_map": {"AutoModel": "x.Model"}}'),
        ("Adapter_Config.json", '{"auto_map": {"AutoModel": "x.Model"}}'),
        ("model.SAFETENSORS", "no weights"),
    ],
)
def test_a_name_in_other_letters_is_checked_like_the_file_that_some_disks_take_it_for(
    store, tmp_path, name, text
):
    folder = checkpoint(tmp_path / "model")
    (folder / ("config.json" if "CONFIG" in name else "model.safetensors")).unlink()
    (folder / name).write_text(text)
    with pytest.raises(RefusedFileError):
        store.put_tree(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": ["a"]}'])
def test_an_index_that_maps_nothing_is_refused(store, tmp_path, text):
    folder = sharded(tmp_path / "model", SHARDS)
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(RefusedFileError):
        store.put_tree(folder)


@pytest.mark.parametrize(("mebibytes", "is_taken"), [(15, True), (17, False)])
def test_a_header_may_have_16_mib(store, tmp_path, mebibytes, is_taken):
    folder = checkpoint(tmp_path / "model")
    whole = safetensors()
    length = int.from_bytes(whole[:8], "little")
    header = whole[8 : 8 + length].ljust(mebibytes << 20)  # valid, and padded with spaces
    data = len(header).to_bytes(8, "little") + header + whole[8 + length :]
    (folder / "model.safetensors").write_bytes(data)
    if is_taken:
        assert store.has(store.put_tree(folder))
    else:
        with pytest.raises(RefusedFileError):
            store.put_tree(folder)


@pytest.mark.parametrize("damage", ["gone", "cut short"])
def test_a_tree_without_one_of_its_blobs_is_not_there(store, tmp_path, damage):
    digest = store.put_tree(checkpoint(tmp_path / "model"))
    assert store.has(digest)
    lost = next(f.digest for f in read_tree(store, digest).files if f.path.endswith("tensors"))
    store.blobs.path(lost).unlink()
    if damage == "cut short":
        store.blobs.path(lost).write_bytes(b"x")
    assert not store.has(digest)


@pytest.mark.parametrize("data", [b'{"files":[1]}', b'{"files":', b'{"files":{}}'])
def test_a_blob_that_begins_like_a_manifest_is_there(store, data):
    assert store.has(store.put_bytes(data))
