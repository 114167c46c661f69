"""A full disk, a clock that goes back, and writers who meet."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lineage.errors import RefusedFileError, StoreFullError, UnreachableError
from lineage.records.record import Records
from lineage.store.store import FolderStore, open_store
from tests.support.making import checkpoint, write_record
from tests.support.refused import raised


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 2 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=300", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs rights that this user has not")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_ends_in_a_clear_error_and_what_was_there_stays(small_disk, tmp_path):
    store = FolderStore(small_disk / "store")
    kept = store.put_tree(checkpoint(tmp_path / "kept", os.urandom(500_000)))
    before = list(store.blobs.digests())
    with pytest.raises(StoreFullError):
        store.put_tree(checkpoint(tmp_path / "large", os.urandom(4_000_000)))
    tree_files = {"config.json", "notes.txt"}  # what fitted may stay: no manifest names it
    assert len(list(store.blobs.digests())) <= len(before) + len(tree_files)
    assert (store.tree(kept) / "model.safetensors").stat().st_size > 500_000
    assert not [
        p
        for p in (small_disk / "store" / "unfinished").rglob("*")
        if p.is_file() and p.stat().st_size
    ]
    assert store.put_tree(checkpoint(tmp_path / "again", os.urandom(500_000)))


def test_a_disk_without_inodes_is_read_and_cleaned_up(small_disk, tmp_path):
    first = FolderStore(small_disk / "store")
    kept = first.put_tree(checkpoint(tmp_path / "kept"))
    lost = [first.put_bytes(b"%d" % number) for number in range(5)]
    write_record(first, b"", output=kept)
    number = 0
    with pytest.raises(OSError, match="No space left"):  # noqa: PT012 - until it is full
        while True:
            (small_disk / str(number)).touch()
            number += 1
    code = (
        "import sys; from pathlib import Path; from lineage.store.store import FolderStore\n"
        "from lineage.errors import StoreFullError\n"
        "from lineage.operations.gc import collect; from lineage.store.scratch import Scratch\n"
        "store = FolderStore(Path(sys.argv[1]))\n"
        "assert store.has(sys.argv[2]) and store.get_bytes(sys.argv[2])\n"
        "try: store.put_bytes(b'more')\n"
        "except StoreFullError: print('full')\n"
        "now = Scratch.now\n"
        "Scratch.now = lambda self: now(self) + 172800\n"
        "print(len(collect(store).remove)); store.put_bytes(b'more')\n"
    )
    command = [sys.executable, "-c", code, first.uri, kept]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.stdout.split() == ["full", "5"], run.stderr
    assert not any(first.has(digest) for digest in lost)


def test_a_file_that_changes_while_it_is_read_is_refused(store, tmp_path, monkeypatch):
    folder = checkpoint(tmp_path / "in")
    log = folder / "nested" / "notes.txt"
    from lineage.store import copying

    pump = copying._pump

    def growing(reader, out, update, limit):
        moved = pump(reader, out, update, limit)
        with log.open("a") as file:
            file.write("more")
        return moved

    monkeypatch.setattr(copying, "_pump", growing)
    with raised(RefusedFileError, "changed-while-read"):
        store.put_file(log)


def test_a_clock_that_goes_back_changes_no_answer_between_readers(store):
    from lineage.records.record import Attestation

    record, output = write_record(store, b"0")
    for moment in ("2026-11-21T10:00:00+00:00", "2026-11-20T09:00:00+00:00", ""):
        said = Attestation(
            derivation=record, output=output, output_kind="checkpoint", finished=moment
        )
        Records(store).write(Records(store).read(record), said)
    last = Records(store).attestations(record)[-1]
    assert last.finished == ""  # the order of the slots, and no clock
    assert Records(open_store(store.uri)).output(record) == last
    assert len(Records(store).attestations(record)) == 4


def write_many(uri: str, gate) -> None:
    store = open_store(uri)
    gate.wait()
    for number in range(20):
        write_record(store, b"%d" % number, number=number)


def test_writers_of_the_same_records_end_with_one_of_each(store):
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(4)
    writers = [context.Process(target=write_many, args=(store.uri, gate)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    records = Records(store)
    assert len(records.all()) == 20
    assert all(len(records.attestations(record)) == 1 for record in records.all())
    assert not any(records.nondeterministic(record) for record in records.all())


def test_a_store_can_be_moved_and_read_elsewhere(store, tmp_path):
    tree = store.put_tree(checkpoint(tmp_path / "in"))
    record, _ = write_record(store, b"", output=tree)
    moved = Path(store.uri).rename(tmp_path / "elsewhere")
    assert (FolderStore(moved).tree(tree) / "config.json").is_file()
    assert Records(FolderStore(moved)).output(record).output == tree


@pytest.mark.parametrize("kind", [StoreFullError, UnreachableError])
def test_an_error_that_is_made_again_from_its_text_points_to_the_doctor_once(kind):
    again = kind(f"Error encountered while executing climb:\n{kind('no space')}")
    assert str(again).count("provost doctor") == 1
    assert str(kind("no space")).count("provost doctor") == 1
