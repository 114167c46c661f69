"""A store that can only be read opens and verifies; a disk that cannot keep one is refused."""

import errno
import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lineage.errors import StoreUnfitError
from lineage.operations.verify import Verifier
from lineage.records.record import Records
from lineage.store.store import FolderStore
from tests.support.making import checkpoint, write_record


@pytest.fixture
def backup(tmp_path, monkeypatch):
    """A store with one record on a file system that is then made read-only, and its record."""
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path / "home"))
    store = FolderStore(tmp_path / "original")
    tree = store.put_tree(checkpoint(tmp_path / "in"))
    record, _ = write_record(store, b"", output=tree)
    place = tmp_path / "backup"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(place)]
    mounted = os.geteuid() == 0
    if mounted and subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a file system needs rights that this user has not")
    try:
        for part in ("blobs", "keys"):
            shutil.copytree(tmp_path / "original" / part, place / "store" / part)
        if mounted:
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        else:
            make_read_only(place)
        yield place / "store", record, tree
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=True)
        else:
            make_writable_again(place)


def make_read_only(place: Path) -> None:
    for folder, _, _ in os.walk(place, topdown=False):
        Path(folder).chmod(0o555)


def make_writable_again(place: Path) -> None:
    for folder, _, _ in os.walk(place):
        Path(folder).chmod(0o755)


def test_a_read_only_store_opens_and_verifies(backup):
    root, record, tree = backup
    store = FolderStore(root)
    assert Records(store).output(record).output == tree
    assert (store.tree(tree) / "nested" / "notes.txt").read_text() == "hello"
    found = Verifier(store, None).verify(record)
    assert found.problems == []
    assert found.blobs == 4  # three files and their manifest
    assert store.has(tree)


def test_a_read_only_store_says_so_before_anything_is_made(backup, tmp_path):
    store = FolderStore(backup[0])
    for write in (
        store.ensure_writable,
        lambda: store.put_bytes(b"x"),
        lambda: store.put_tree(checkpoint(tmp_path / "other")),
        lambda: store.claim("a/b", b"x"),
        lambda: store.remove(backup[2], 0),
    ):
        with pytest.raises(StoreUnfitError):
            write()


def test_a_store_that_neither_exists_nor_can_be_created_is_refused_at_once(backup):
    with pytest.raises(StoreUnfitError):
        FolderStore(backup[0].parent / "another")


def refuse(number):
    def refused(*_, **__):
        raise OSError(number, os.strerror(number))

    return refused


@pytest.mark.parametrize(
    ("part", "replacement"),
    [
        ((os, "link"), refuse(errno.EPERM)),
        ((os, "link"), refuse(errno.ENOTSUP)),
        ((os, "link"), lambda *_, **__: None),  # says yes and does nothing
        ((fcntl, "flock"), refuse(errno.ENOLCK)),
        ((fcntl, "flock"), lambda *_: None),  # two holders
        ((Path, "rename"), refuse(errno.EPERM)),
    ],
)
def test_a_disk_that_cannot_keep_a_store_is_refused_when_it_is_made(
    tmp_path, monkeypatch, part, replacement
):
    monkeypatch.setattr(*part, replacement)
    with pytest.raises(StoreUnfitError, match="provost doctor"):
        FolderStore(tmp_path / "store").ensure_writable()


def test_a_step_on_a_read_only_store_ends_before_its_work(backup):
    from lineage.records.record import Derivation
    from tasks.platform.step_runner import StepRunner

    runner = StepRunner(FolderStore(backup[0]))
    derivation = Derivation(kind="sft", inputs=(), source="", settings={}, seed=7)

    def make(*_):
        raise AssertionError("hours of work")

    with pytest.raises(StoreUnfitError):
        runner.find_or_make(derivation, "checkpoint", make)
