"""``provost teacher`` and ``provost lineage`` on the store that a small main job has left."""

import re

import pytest

from lineage.artifacts import Release, Student, read_manifest
from lineage.mirror import connection, showing
from lineage.mirror.connection import TrackingState, tracking_uri
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.store.store import FolderStore, open_store
from tests.support.aging import grow_old
from tests.support.refusals import flip, provost, refusal
from tests.support.tiny_faculty import PACKAGE, TEAMS, climb


def student_manifest():
    store = open_store()
    return read_manifest(store, Registry(store).resolve("student@released").digest, Student)


def release_of(team):
    store = open_store()
    return read_manifest(store, Registry(store).resolve(f"{team}@released").digest, Release)


def short(digest):
    return digest[7:19]


def test_teachers_are_listed_with_owner_aliases_and_fork_point(teachers, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    lines = provost("teacher", "list").splitlines()
    fork_point = Registry(open_store()).resolve("fork-point@released").digest
    for team in TEAMS:
        [line] = [line for line in lines if line.startswith(f"{team}@1")]
        for word in ("candidate, released", f"team-{team}", "rl", short(fork_point), "active"):
            assert word in line


def test_show_draws_the_student_down_to_the_base(student, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    drawn = provost("lineage", "show", "student@released")
    assert drawn.splitlines()[0].startswith("student.general@1")
    for team in TEAMS:
        assert f"teacher.{team}@1" in drawn
    assert "fork-point@1" in drawn


def test_show_writes_a_page(student, tmp_path):
    page = tmp_path / "page.html"
    assert str(page) in provost("lineage", "show", "student", "--html", str(page)).replace("\n", "")
    text = page.read_text("utf-8")
    assert "<svg" in text
    assert "<script" not in text
    assert all(f"teacher.{team}" in text for team in TEAMS)


def test_ancestors_and_descendants_are_each_others_mirror(student):
    def records(output):
        return [line.split()[0] for line in output.splitlines() if re.match(r"[0-9a-f]{12} ", line)]

    down = records(provost("lineage", "ancestors", "student@released"))
    up = records(provost("lineage", "descendants", "fork-point@released"))
    registry = Registry(open_store())
    fork, made = (registry.resolve(name).record for name in ("fork-point", "student"))
    assert short(fork) in down
    assert short(made) in up
    assert short(made) not in down
    assert short(fork) not in up
    assert len(down) == len(set(down))
    for team in TEAMS:
        assert short(registry.resolve(team).record) in set(down) & set(up)


@pytest.mark.slow
def test_diff_of_two_seeds_names_the_seed_and_the_data(teachers, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    climb(f"{PACKAGE}.shout", seed=1)
    told = provost("lineage", "diff", "shout@1", "shout@2")
    assert re.search(r"seed\s+0\s+1", told)
    assert "settings" not in told.replace("settings.manifest", "")
    assert "made of the same inputs" in provost("lineage", "diff", "shout@1", "shout@1")


def test_verify_counts_what_it_has_hashed(student):
    told = provost("lineage", "verify", "student@released")
    found = re.search(r"verified: (\d+) records, (\d+) blobs", told)
    assert int(found.group(1)) > 30
    assert int(found.group(2)) > 50


@pytest.mark.parametrize("part", ["model.safetensors", "tokenizer.json"])
def test_verify_names_the_file_with_the_flipped_byte_and_exits_with_1(student, part):
    path = flip(release_of("shout").checkpoint.digest, part)
    told = refusal("lineage", "verify", "student@released")
    wrong = [line for line in told.splitlines() if line.startswith("WRONG")]
    assert len(wrong) == 1
    assert f"file {part} in" in wrong[0]
    assert str(path) in wrong[0]
    assert "wrong: 1: " in told


def test_verify_names_a_record_that_was_tampered_with(student):
    record = student_manifest().checkpoint.record
    path = FolderStore(student / "store").blobs.path(record)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"seed":0', b'"seed":1'))
    told = refusal("lineage", "verify", "student@released")
    assert record in told


def test_gc_lists_unreachable_blobs_and_removes_them_only_on_request(student, monkeypatch):
    store = open_store()
    orphan = store.put_bytes(b"nobody names me")
    grow_old(monkeypatch, days=5)
    told = provost("lineage", "gc")
    assert f"{orphan}  15 bytes" in told
    assert "would remove 1 blobs" in told
    assert store.has(orphan)
    assert "removed 1 blobs" in provost("lineage", "gc", "--delete")
    assert not store.has(orphan)
    assert "verified" in provost("lineage", "verify", "student@released")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_reindex_fills_an_empty_mlflow(student, tmp_path, monkeypatch):
    monkeypatch.setattr(showing, "HEALTH", TrackingState())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'other.db'}")
    told = provost("lineage", "reindex")
    number = len(Records(open_store()).all())
    assert told.split()[:2] == [str(number), "records,"]
    client = connection.client_of(tracking_uri())
    runs = client.search_runs(
        [each.experiment_id for each in client.search_experiments()], max_results=1000
    )
    assert len(runs) == number
