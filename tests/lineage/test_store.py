"""The folder store: what goes in comes out verified, or is refused by name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lineage.digest import canonical_json, digest_bytes
from lineage.errors import (
    BadDigestError,
    CorruptError,
    LineageError,
    MissingBlobError,
    RefusedFileError,
    StoreFullError,
    StoreUnfitError,
)
from lineage.store.admission import Limits
from lineage.store.scratch import copy_writable
from lineage.store.store import FolderStore, open_store, read_tree
from lineage.store.tree import Tree, TreeFile
from tests.support.making import checkpoint, safetensors
from tests.support.refused import raised


def unfinished(store: FolderStore) -> list[Path]:
    return [
        path
        for path in (Path(store.uri) / "unfinished").rglob("*")
        if path.is_file() and path.suffix != ".lock"
    ]


def test_a_digest_is_that_of_sha256_of_nothing():
    empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest_bytes(b"") == empty


def test_canonical_json_has_one_spelling():
    assert canonical_json({"b": [1, 2.5, None], "a": "é"}) == '{"a":"é","b":[1,2.5,null]}'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1: "a"}, "\ud800", {"a": {2: 1}}])
def test_canonical_json_refuses_what_has_no_one_spelling(value):
    with pytest.raises(LineageError):
        canonical_json(value)


def test_a_tree_comes_back_as_it_went_in_and_cannot_be_written(store, tmp_path):
    folder = checkpoint(tmp_path / "in")
    out = store.tree(store.put_tree(folder))
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == [
        "config.json",
        "model.safetensors",
        "nested/notes.txt",
    ]
    for path in folder.rglob("*.*"):
        assert (out / path.relative_to(folder)).read_bytes() == path.read_bytes()
        assert (out / path.relative_to(folder)).stat().st_mode & 0o222 == 0


def test_the_tree_digest_is_of_the_manifest_and_the_weights_digest_only_of_weights(store, tmp_path):
    one = checkpoint(tmp_path / "one")
    two = checkpoint(tmp_path / "two")
    (two / "config.json").write_text('{"model_type": "llama"}')
    first, second = store.put_tree(one), store.put_tree(two)
    assert first != second
    assert read_tree(store, first).weights == read_tree(store, second).weights != ""
    assert digest_bytes(store.get_bytes(first)) == first


def test_identical_files_are_stored_once(store, tmp_path):
    store.put_tree(checkpoint(tmp_path / "one"))
    before = len(list(store.blobs.digests()))
    store.put_tree(checkpoint(tmp_path / "two"))
    assert len(list(store.blobs.digests())) == before == 4  # three files and one manifest


@pytest.mark.parametrize("name", ["a.bin", "b.pt", "c.PTH", "d.pkl", "sub/e.ckpt"])
def test_a_pickle_is_refused(store, tmp_path, name):
    folder = checkpoint(tmp_path / "in")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"\x80\x04.")
    with raised(RefusedFileError, "pickle"):
        store.put_tree(folder)
    assert list(store.blobs.digests()) == []


def test_a_symlink_a_pipe_and_an_empty_folder_are_refused(store, tmp_path):
    folder = checkpoint(tmp_path / "in")
    (folder / "link").symlink_to("/etc/hostname")
    with raised(RefusedFileError, "symlink"):
        store.put_tree(folder)
    (folder / "link").unlink()
    (folder / "link").symlink_to(tmp_path)
    with raised(RefusedFileError, "symlink"):
        store.put_tree(folder)
    (folder / "link").unlink()
    os.mkfifo(folder / "pipe")
    with raised(RefusedFileError, "not-a-file", "pipe"):
        store.put_tree(folder)
    (tmp_path / "empty").mkdir()
    with raised(RefusedFileError, "empty-folder"):
        store.put_tree(tmp_path / "empty")


@pytest.mark.parametrize(
    "config",
    [
        {"auto_map": {"AutoModel": "x.Model"}},
        {"text_config": {"auto_map": {"AutoModel": "x.Model"}}},
        {"_attn_implementation": "kernels-community/flash-attn"},
        {"attn_implementation": {"text": "org/repo:function"}},
    ],
)
def test_a_config_that_loads_code_is_refused(store, tmp_path, config):
    folder = checkpoint(tmp_path / "in")
    (folder / "config.json").write_text(json.dumps(config))
    with raised(RefusedFileError, "loads-code"):
        store.put_tree(folder)


def test_a_config_that_is_not_json_or_nests_too_deeply_is_refused(store, tmp_path):
    folder = checkpoint(tmp_path / "in")
    for text in ("{", "[" * 100_000):
        (folder / "config.json").write_text(text)
        with raised(RefusedFileError, "not-json"):
            store.put_tree(folder)


def test_safetensors_that_are_cut_short_are_refused(store, tmp_path):
    folder = checkpoint(tmp_path / "in")
    whole = safetensors(b"12345678")
    for length in (0, 7, 20, len(whole) - 1):
        (folder / "model.safetensors").write_bytes(whole[:length])
        with pytest.raises(RefusedFileError, match=r"model\.safetensors"):
            store.put_tree(folder)
    (folder / "model.safetensors").write_bytes(whole + b"x")
    with raised(RefusedFileError, "bad-safetensors"):
        store.put_tree(folder)


def test_sizes_beyond_the_limits_are_refused_before_a_byte_is_copied(tmp_path):
    store = FolderStore(tmp_path / "store", Limits(file_bytes=1 << 20, tree_bytes=1 << 21, files=5))
    folder = checkpoint(tmp_path / "in")
    with (folder / "huge").open("wb") as file:
        file.truncate(1 << 40)  # sparse: takes no room
    with raised(RefusedFileError, "too-large", "huge"):
        store.put_tree(folder)
    (folder / "huge").unlink()
    for number in range(3):
        (folder / str(number)).write_text("")
    with raised(RefusedFileError, "too-many-files", "5"):
        store.put_tree(folder)
    assert list(store.blobs.digests()) == []


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../b", "a//b", "a\\b", "a\nb", "."])
def test_a_manifest_cannot_point_outside_its_folder(store, path):
    blob = store.put_bytes(b"x")
    bad = store.put_bytes(Tree((TreeFile(path, 1, blob),)).to_bytes())
    with raised(RefusedFileError, "unsafe-path"):
        store.tree(bad)


def test_a_manifest_is_checked_like_a_folder_when_it_comes_out(store):
    blob = store.put_bytes(b"x")
    pickle = store.put_bytes(Tree((TreeFile("a.pkl", 1, blob),)).to_bytes())
    with raised(RefusedFileError, "pickle"):
        store.tree(pickle)
    wrong_size = store.put_bytes(Tree((TreeFile("a", 2, blob),)).to_bytes())
    with raised(CorruptError, "other-size", "2"):
        store.tree(wrong_size)
    clash = store.put_bytes(Tree((TreeFile("a", 1, blob), TreeFile("a/b", 1, blob))).to_bytes())
    with raised(RefusedFileError, "file-and-folder"):
        store.tree(clash)
    with raised(CorruptError, "not-a-folder"):
        store.tree(blob)


def test_a_blob_that_is_not_there_is_named(store):
    absent = digest_bytes(b"absent")
    assert not store.has(absent)
    with pytest.raises(MissingBlobError, match=absent):
        store.get_bytes(absent)
    with pytest.raises(BadDigestError, match="sha256:123"):
        store.has("sha256:123")


def test_a_slot_is_claimed_once(store):
    assert store.claim("registry/math/1", b"a")
    assert not store.claim("registry/math/1", b"b")
    assert store.read_key("registry/math/1") == b"a"
    assert store.read_key("registry/math") is None
    assert store.keys("registry") == ["registry/math/1"]
    assert store.keys("reg") == []


@pytest.mark.parametrize("key", ["", "/a", "a/../b", "a//b", ".hidden", "a b"])
def test_an_unsafe_key_is_refused(store, key):
    with raised(LineageError, "unsafe-key"):
        store.claim(key, b"")


def test_a_full_disk_is_named_and_leaves_nothing(store, tmp_path, monkeypatch):
    folder = checkpoint(tmp_path / "in")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lineage.store.blobs.flush", full)
    monkeypatch.setattr("lineage.store.store.flush", full)
    with pytest.raises(StoreFullError):
        store.put_tree(folder)
    with pytest.raises(StoreFullError):
        store.claim("a", b"b")
    assert list(store.blobs.digests()) == store.keys("") == unfinished(store) == []


def test_leftovers_of_a_killed_process_are_swept_and_those_of_a_live_one_are_not(store):
    code = (
        "import os; from lineage.store.store import open_store\n"
        f"path = open_store({store.uri!r})._scratch.path(); path.write_text('half')\n"
        "os.kill(os.getpid(), 9)"
    )
    mine = store._scratch.path()
    mine.write_text("half")
    subprocess.run([sys.executable, "-c", code])
    assert len(unfinished(store)) == 2
    open_store(store.uri)
    assert unfinished(store) == [mine]


def test_what_another_user_left_does_not_make_a_store_read_only(store, monkeypatch):
    store.ensure_writable()
    theirs = Path(store.uri) / "unfinished" / "theirs.lock"
    theirs.touch()
    real = os.open

    def refuse(path, flags, *rest, **more):
        if Path(path).name == theirs.name:
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *rest, **more)

    monkeypatch.setattr("lineage.store.scratch.os.open", refuse)
    again = FolderStore(Path(store.uri))
    again.ensure_writable()
    assert again.get_bytes(again.put_bytes(b"x")) == b"x"
    assert theirs.exists()


def test_a_store_on_a_file_or_an_unknown_scheme_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnfitError, match="PROVOST_STORE"):
        open_store(str(tmp_path / "file"))
    with pytest.raises(StoreUnfitError, match="gopher"):
        open_store("gopher://x")


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_a_process_may_open_any_number_of_stores(tmp_path):
    before = open_descriptors()
    for number in range(20):
        FolderStore(tmp_path / f"{number}").put_bytes(b"some bytes")
    assert open_descriptors() <= before + 1


def test_a_copy_of_a_stored_tree_can_be_changed(store, tmp_path):
    tree = store.tree(store.put_tree(checkpoint(tmp_path / "in")))
    copy = tmp_path / "out"
    copy_writable(tree, copy)
    copy_writable(tree, copy)  # over what is there
    found = sorted(path.relative_to(copy) for path in copy.rglob("*"))
    assert found == sorted(path.relative_to(tree) for path in tree.rglob("*"))
    assert all(path.stat().st_mode & 0o200 for path in [copy, *copy.rglob("*")])
