"""Garbage collection removes what nothing reaches, and nothing else."""

import os
import shutil
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from lineage.artifacts import Artifact, put_manifest
from lineage.errors import DamagedError, LineageError
from lineage.operations.gc import collect, find_garbage
from lineage.records.record import Records
from lineage.registry.registry import Registry
from tests.support.aging import DAY, grow_old
from tests.support.making import MINE, checkpoint, release_of, write_record
from tests.support.refused import raised
from workflows.cli import main


@pytest.fixture
def recorded(store, tmp_path):
    tree = store.put_tree(checkpoint(tmp_path / "kept"))
    rows = [(1, "loss", 0.5, "sft")]
    return write_record(store, b"", kind="sft", output=tree, metrics=rows)


def test_what_a_record_reaches_stays_and_the_rest_goes(store, recorded, tmp_path, monkeypatch):
    lost = store.put_tree(checkpoint(tmp_path / "lost", b"other weights"))
    store.tree(lost)
    grow_old(monkeypatch)
    planned = find_garbage(store)
    # the lost manifest and its weights; config and notes are the kept checkpoint's too
    assert next(blob.digest for blob in planned.remove) == lost
    assert len(planned.remove) == 2
    assert store.has(lost)  # a dry run
    assert collect(store).size == planned.size
    assert not store.has(lost)
    assert not (store.trees._root / lost.removeprefix("sha256:")).exists()
    store.tree(recorded[1])
    assert Records(store).output(recorded[0]).output == recorded[1]
    assert store.has(Records(store).output(recorded[0]).metrics)
    assert find_garbage(store).remove == ()


def test_what_is_young_stays_with_all_that_it_names(store, tmp_path, monkeypatch):
    tree = store.put_tree(checkpoint(tmp_path / "in"))
    grow_old(monkeypatch)
    again = store.put_tree(checkpoint(tmp_path / "again"))  # only finds what is there
    assert again == tree
    assert find_garbage(store).remove == ()


def test_what_is_kept_for_its_age_alone_is_counted(store, recorded, tmp_path, monkeypatch):
    of_record = find_garbage(store).kept
    store.put_bytes(b"an output that was not recorded")
    planned = find_garbage(store)
    assert (planned.kept, [blob.size for blob in planned.young]) == (of_record + 1, [31])
    grow_old(monkeypatch)
    assert collect(store).young == ()
    assert find_garbage(store).kept == of_record


def test_a_blob_that_was_put_again_meanwhile_is_not_removed(store, monkeypatch):
    digest = store.put_bytes(b"lost")
    grow_old(monkeypatch)
    assert len(find_garbage(store).remove) == 1
    store.put_bytes(b"lost")
    assert not store.remove(digest, DAY)
    assert store.get_bytes(digest) == b"lost"


def test_a_registered_release_keeps_all_its_parts(store, tmp_path, monkeypatch):
    tree = store.put_tree(checkpoint(tmp_path / "in"))
    parts = ("scorecard", "environment", "sft", "train", "validation", "evaluation", "sketches")
    others = {part: store.put_bytes(part.encode()) for part in parts}
    models = dict.fromkeys(("checkpoint", "rung", "fork_point", "precursor"), tree)
    release = put_manifest(store, release_of("math", **models, **others))
    artifact = Artifact(kind="release", digest=release)
    Registry(store).register("teacher.math", artifact, owner="team")
    grow_old(monkeypatch)
    assert find_garbage(store).remove == ()


def test_too_short_a_grace_period_is_refused(store):
    with raised(LineageError, "short-grace", "7200"):
        find_garbage(store, grace_seconds=60)


def test_a_damaged_document_stops_the_collection_until_it_is_given_up(store, recorded, monkeypatch):
    path = store.blobs.path(recorded[1])
    path.chmod(0o644)
    path.write_bytes(b"{}")
    grow_old(monkeypatch)
    with pytest.raises(DamagedError) as caught:
        collect(store)
    assert caught.value.digests == {recorded[1]}
    assert recorded[0] not in {blob.digest for blob in collect(store, give_up=[recorded[1]]).remove}
    assert store.has(recorded[0])


def test_a_damaged_unreachable_document_is_collected_and_reported(
    store, recorded, tmp_path, monkeypatch
):
    monkeypatch.setenv("PROVOST_STORE", store.uri)
    lost = store.put_tree(checkpoint(tmp_path / "lost", b"other weights"))
    path = store.blobs.path(lost)
    path.chmod(0o644)
    path.write_bytes(b"{}")
    assert find_garbage(store).damaged == (lost,)
    assert find_garbage(store).remove == ()  # it is young
    grow_old(monkeypatch)
    told = CliRunner().invoke(main, ["lineage", "gc"], catch_exceptions=False)
    assert f"damaged: {lost}" in told.output
    assert lost in {blob.digest for blob in collect(store).remove}
    assert store.has(recorded[1])
    assert find_garbage(store).damaged == ()


def test_states_of_a_run_stay_until_its_output_is_attested(store, tmp_path, monkeypatch):
    run = "sha256:" + "cd" * 32

    def put_away(step):
        weights = checkpoint(tmp_path / f"state-{step}", f"weights {step}".encode())
        store.claim(f"{MINE}/states/{run[7:]}/{step:08d}", store.put_tree(weights).encode())
        return store.keys(f"{MINE}/states")

    put_away(1)
    put_away(2)
    grow_old(monkeypatch)
    of_states = {blob.digest for blob in find_garbage(store).remove}
    # The first state's manifest and weights; all else is the newest state's too.
    assert len(of_states) == 2
    store.claim(f"{MINE}/attestations/{run[7:]}/00000001", b"{}")
    assert len(find_garbage(store).remove) > 2
    assert not find_garbage(store).kept


def test_an_old_blob_of_another_user_is_put_again_as_a_copy(store, monkeypatch):
    digest = store.put_bytes(b"lost")
    before = store.blobs.path(digest).stat().st_ino

    utime = os.utime

    def refuse(path, *rest, **more):
        if Path(path).is_file():  # what its owner alone may do
            raise PermissionError(1, "Operation not permitted")
        utime(path, *rest, **more)

    monkeypatch.setattr("os.utime", refuse)
    grow_old(monkeypatch)
    assert store.put_bytes(b"lost") == digest
    assert store.blobs.path(digest).stat().st_ino != before
    assert store.get_bytes(digest) == b"lost"


@pytest.mark.parametrize("days", [2, -2])
def test_a_clock_of_this_machine_that_is_wrong_makes_nothing_old(store, monkeypatch, days):
    real = time.time
    monkeypatch.setattr("time.time", lambda: real() + days * DAY)
    digest = store.put_bytes(b"just put")
    assert collect(store).remove == ()
    assert not store.remove(digest, DAY)
    grow_old(monkeypatch)
    assert [blob.digest for blob in collect(store).remove] == [digest]


def test_a_blob_that_was_restored_with_its_old_time_is_young(store, tmp_path):
    path = store.blobs.path(store.put_bytes(b"restored"))
    long_ago = time.time() - 9 * DAY
    os.utime(path, (long_ago, long_ago))
    copy = shutil.copy2(path, tmp_path / "copy")  # as rsync --archive restores it
    path.unlink()
    shutil.copy2(copy, path)
    assert path.stat().st_mtime == pytest.approx(long_ago)
    assert find_garbage(store).remove == ()


STRAYS = [".DS_Store", "Thumbs.db", ".nfs000000000001", ".blob.Xy12Zq", "notes~"]


@pytest.mark.parametrize("name", STRAYS)
def test_leavings_of_other_programs_stop_nothing(store, recorded, monkeypatch, name):
    root = Path(store.uri)
    record = recorded[0].removeprefix("sha256:")
    for folder in (
        *("blobs", "blobs/ab", "keys", "trees", "unfinished"),
        f"keys/{MINE}/attestations",
        f"keys/{MINE}/attestations/{record}",
    ):
        (root / folder).mkdir(exist_ok=True)
        (root / folder / name).write_bytes(b"stray")
    grow_old(monkeypatch)
    assert collect(store).remove == ()
    assert Records(store).all() == [recorded[0]]
    assert Records(store).output(recorded[0]).output == recorded[1]
    assert (store.tree(recorded[1]) / "config.json").is_file()
    assert (root / "blobs" / name).exists()
