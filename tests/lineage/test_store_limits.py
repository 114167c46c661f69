"""What no disk could hold is refused by name, whether it comes as a folder or as a manifest."""

import os
import subprocess

import pytest

from lineage.digest import canonical_json
from lineage.errors import LineageError, RefusedFileError
from lineage.registry.registry import Registry
from lineage.store.admission import Limits
from lineage.store.tree import Tree, TreeFile
from tests.support.making import checkpoint


def nested(folder, depth):
    """A file below so many folders, made step by step: the whole path is too long to be opened."""
    top = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=top)
        below = os.open("d", os.O_RDONLY, dir_fd=top)
        os.close(top)
        top = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=top))
    os.close(top)


@pytest.mark.parametrize("depth", [64, 1500])
def test_folders_nested_without_end_are_refused(store, tmp_path, depth):
    folder = checkpoint(tmp_path / "in")
    nested(folder, depth)
    with pytest.raises(RefusedFileError):
        store.put_tree(folder)
    assert list(store.blobs.digests()) == []
    subprocess.run(["rm", "-rf", str(folder)], check=True)  # Python's own way would recurse


def test_folders_nested_as_deep_as_may_be_come_back(store, tmp_path):
    folder = checkpoint(tmp_path / "in")
    nested(folder, 63)
    assert (store.tree(store.put_tree(folder)) / ("d/" * 63) / "file").is_file()


@pytest.mark.parametrize(
    "paths",
    [
        ("A", "a/y"),
        ("a", "A/y"),
        ("n\u0061\u0308", "n\u00e4/y"),
        ("x" * 256,),
        ("a/" + "\u00e4" * 128,),
        ("/".join("a" * 65),),
        (),
    ],
)
def test_a_manifest_that_no_folder_could_hold_is_refused(store, paths):
    blob = store.put_bytes(b"x")
    tree = store.put_bytes(Tree(tuple(TreeFile(path, 1, blob) for path in paths)).to_bytes())
    with pytest.raises(RefusedFileError):
        store.tree(tree)


def test_two_names_that_are_one_on_some_disks_are_refused(store, tmp_path):
    folder = checkpoint(tmp_path / "in")
    (folder / "A").write_text("x")
    (folder / "a").mkdir()
    (folder / "a" / "y").write_text("y")
    with pytest.raises(RefusedFileError):
        store.put_tree(folder)


@pytest.mark.medium
def test_a_manifest_of_too_many_files_is_refused(store):
    blob = store.put_bytes(b"x")
    rows = [[f"{number:06d}", 1, blob] for number in range(Limits().files + 1)]
    body = {"files": rows, "schema": "provost.tree/1", "weights": ""}
    with pytest.raises(RefusedFileError):
        store.tree(store.put_bytes(canonical_json(body)))


@pytest.mark.parametrize("key", ["a" * 256, "a/" + "b" * 256 + "/c", "/".join(["a" * 200] * 5)])
def test_a_key_that_no_disk_and_no_bucket_takes_is_refused(store, key):
    with pytest.raises(LineageError):
        store.claim(key, b"x")
    with pytest.raises(LineageError):
        store.read_key(key)


def test_a_name_of_300_letters_is_refused(store):
    with pytest.raises(LineageError):
        Registry(store).versions("teacher." + "x" * 300)
