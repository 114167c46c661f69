"""Blobs and folders that were changed in place: found, and mended where the original is at hand."""

import os
import subprocess
import sys

import pytest

from lineage.digest import digest_file
from lineage.errors import CorruptError
from tests.support.making import checkpoint


def test_a_flipped_byte_is_found_by_the_next_process(store, tmp_path):
    tree = store.put_tree(checkpoint(tmp_path / "in"))
    store.tree(tree)
    blob = store.blobs.path(digest_file(tmp_path / "in" / "model.safetensors"))
    status = blob.stat()
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    os.utime(blob, ns=(status.st_atime_ns, status.st_mtime_ns))  # a disk that rots tells nobody
    code = f"from lineage.store.store import open_store; open_store({store.uri!r}).tree({tree!r})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert "no longer has the digest" in result.stderr
    assert blob.name in result.stderr


def test_putting_the_original_again_mends_a_corrupt_blob(store):
    digest = store.put_bytes(b"weights")
    path = store.blobs.path(digest)
    path.chmod(0o644)
    path.write_bytes(b"wEights")
    with pytest.raises(CorruptError):
        store.get_bytes(digest)
    assert store.put_bytes(b"weights") == digest
    assert store.get_bytes(digest) == b"weights"


def test_a_byte_changed_in_place_is_found_by_the_process_that_saw_it_before(store, tmp_path):
    tree = store.put_tree(checkpoint(tmp_path / "in"))
    folder = store.tree(tree)
    blob = store.blobs.path(digest_file(folder / "model.safetensors"))
    before = blob.stat()
    blob.chmod(0o644)
    with blob.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    os.utime(blob, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(CorruptError):
        store.tree(tree)


def test_a_blob_is_hashed_once_though_trees_link_to_it(store, tmp_path, monkeypatch):
    hashed = []
    monkeypatch.setattr(
        "lineage.store.blobs.digest_file",
        lambda path: hashed.append(path.name) or digest_file(path),
    )
    one, two = checkpoint(tmp_path / "one"), checkpoint(tmp_path / "two")
    (two / "config.json").write_text("{}")
    for tree in (store.put_tree(one), store.put_tree(two)):
        store.tree(tree)
        store.tree(tree)
    assert len(hashed) == len(set(hashed))


@pytest.mark.parametrize("damage", ["extra", "missing", "changed"])
def test_a_touched_folder_is_built_anew(store, tmp_path, damage):
    tree = store.put_tree(checkpoint(tmp_path / "in"))
    folder = store.tree(tree)
    folder.chmod(0o755)
    if damage == "extra":
        (folder / "evil.py").write_text("1")
    elif damage == "missing":
        (folder / "config.json").unlink()
    else:
        (folder / "config.json").unlink()
        (folder / "config.json").write_text("{}")
    again = store.tree(tree)
    assert (again / "config.json").read_text() == '{"model_type": "qwen3"}'
    assert not (again / "evil.py").exists()
