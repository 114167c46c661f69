"""What one team leaves in the store stops no question about another's work, and is reported."""

import json

import pytest
from click.testing import CliRunner

from lineage.artifacts import Artifact
from lineage.digest import canonical_json, digest_bytes, hex_of
from lineage.records.record import Attestation, Derivation, Records
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tests.support.making import MINE, SOURCE, TIME, release_of, take, write_record
from workflows.cli import main

GOOD = ("base", "sft", "release")
"""Kinds of the records that are right."""


@pytest.fixture
def store(tracked_home):
    return open_store()


@pytest.fixture
def good(store):
    """A release of team B with two ancestors; its digests."""
    base = write_record(store, b"base", kind="base")
    sft = write_record(store, b"sft", take("start", base), kind="sft", owner="team-b")
    manifest = canonical_json(release_of("math").model_dump(mode="json"))
    made = write_record(
        store, manifest, take("checkpoint", sft), kind="release", output_kind="release"
    )
    artifact = Artifact(kind="release", digest=made[1], record=made[0])
    Registry(store).register("teacher.math", artifact, owner="team-b")
    Registry(store).point("teacher.math", "released", 1, by="team-b")
    return base, sft, made


def put_raw(home, key, data):
    """Write a key as somebody does who may write the folder, and uses no code of ours."""
    file = home / "store" / "keys" / key
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def odd_record(store, metrics=None, **changed):
    """Write a record that says what no step of ours does; return its digest."""
    fields = {"kind": "sft", "inputs": [], "source": SOURCE, "settings": {}, "seed": 0} | changed
    derivation = Derivation.model_validate(fields)
    store.put_bytes(b"x")
    said = Attestation(
        derivation=derivation.digest(),
        output=store.put_bytes(json.dumps(sorted(changed)).encode()),
        output_kind="checkpoint",
        started=TIME,
        finished=TIME,
        metrics=store.put_bytes(metrics) if metrics is not None else "",
    )
    return Records(store).write(derivation, said)


HARMLESS = {
    "a kind of 600 letters": {"kind": "k" * 600},
    "a kind that is no name": {"kind": "a/../b\n' OR 1=1"},
    "a step beyond every number": {"settings": {"step": 10**30, "score": 10**400}},
    "a key of 9,000 letters": {"settings": {"k" * 9000: "v" * 90_000}},
    "keys that MLflow takes for one": {"settings": {"a b": 1, "a_b": 2, "a\tb": 3, "": 4, "..": 5}},
    "a seed beyond every number": {"seed": 10**30},
    "200 settings": {"settings": {f"k{n}": n for n in range(200)}},
    "an input of 600 letters": {
        "inputs": [{"role": "r" * 600, "artifact": digest_bytes(b"x"), "name": "n" * 600}]
    },
}
"""Records that are odd and can be shown."""
BAD_METRICS = [
    b"{", b"[]", b"1", b'{"step": 1}', b'{"step": "x", "name": "a", "value": 1, "source": ""}',
    b'{"step": 1, "name": "a", "value": "many", "source": ""}', b"\xff", b"[" * 99_999,
    b'{"step": 1e400, "name": "a", "value": 1, "source": ""}',
    b'{"step": 1' + b"0" * 30 + b', "name": "a", "value": 1, "source": ""}',
    b'{"step": 1, "name": "a", "value": 1' + b"0" * 400 + b', "source": ""}',
]  # fmt: skip
STRAY = [
    "records/.DS_Store", "records/" + "0" * 64, "records/abc", "attestations/.DS_Store",
    "attestations/" + "0" * 64 + "/" + "1" * 64, "attestations/" + "0" * 64 + "/x/y/z",
    "registry/teacher.evil/versions/00000001", "registry/teacher.evil/events/00000001",
    "registry/teacher.evil/versions/x~", "registry/Thumbs.db", "registry/.nfs0001",
    "signatures/teacher.evil/00000001/" + "0" * 64, "states/x/00000001", "else/where",
    f"{MINE}/attestations/.DS_Store", f"{MINE}/attestations/abc/00000001",
    f"{MINE}/attestations/" + "0" * 64 + "/00000001", f"{MINE}/attestations/x/y/z",
    f"{MINE}/registry/teacher.evil/versions/00000001", f"{MINE}/registry/teacher.evil/events/1",
    f"{MINE}/registry/teacher.evil/events/00000001", f"{MINE}/registry/Thumbs.db",
    f"{MINE}/registry/teacher.evil/aliases/00000002", f"{MINE}/endorsements/x~",
    "projects/evil/registry/teacher.math/versions/00000002", "projects/.DS_Store", "trust/x~",
]  # fmt: skip


def asked(*arguments, code=0):
    result = CliRunner().invoke(main, arguments)
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert result.exit_code == code, result.output
    return result.output


def assert_good_is_answered():
    """Ask every question about the release of team B."""
    assert "teacher.math@1" in asked("lineage", "show", "math")
    assert len(asked("lineage", "ancestors", "math").splitlines()) == 2
    assert len(asked("lineage", "descendants", "teacher.math@1").splitlines()) == 0
    asked("lineage", "diff", "math", "teacher.math@1")
    assert Registry(open_store()).resolve("math@released").version == 1


@pytest.mark.parametrize("key", STRAY)
@pytest.mark.parametrize("data", [b"", b"no document"], ids=["empty", "text"])
def test_a_stray_key_stops_no_question_about_another(home, good, key, data):
    put_raw(home, key, data)
    assert_good_is_answered()


def test_reindex_shows_good_records_and_odd_ones_and_reports_bad_ones(home, store, good):
    odd = [odd_record(store, **changed) for changed in HARMLESS.values()]
    bad = [odd_record(store, metrics, settings={"n": n}) for n, metrics in enumerate(BAD_METRICS)]
    for key in STRAY:
        put_raw(home, key, b"no document")
    assert_good_is_answered()
    said = asked("lineage", "reindex", code=1)
    wrong = {line.split()[1].rstrip(":") for line in said.splitlines() if line.startswith("WRONG")}
    assert set(bad) <= wrong
    assert not wrong & {record for record, _ in good}
    assert not wrong & set(odd), said
    assert shown() >= {record for record, _ in good} | set(odd)


def test_reindex_of_good_records_alone_ends_well(good):
    assert "WRONG" not in asked("lineage", "reindex")


def shown():
    """Return the records whose runs in MLflow are finished."""
    from mlflow import MlflowClient

    from lineage.mirror.connection import tracking_uri

    client = MlflowClient(tracking_uri())
    places = [item.experiment_id for item in client.search_experiments()]
    runs = client.search_runs(places, max_results=1000)
    return {run.data.tags["provost.record"] for run in runs if run.info.status == "FINISHED"}


def test_a_graph_with_a_hole_is_drawn_and_the_hole_reported(store, good):
    base = good[0]
    store.blobs.path(base[0]).unlink()
    said = asked("lineage", "show", "math", code=1)
    assert "teacher.math@1" in said
    assert f"WRONG record {base[0]}" in said
    assert f"WRONG record {base[0]}" in asked("lineage", "ancestors", "math", code=1)


def test_a_damaged_record_of_the_graph_is_reported(store, good):
    _, sft, _ = good
    file = store.blobs.path(sft[0])
    file.chmod(0o644)
    file.write_bytes(b"{}")
    assert f"WRONG record {sft[0]}" in asked("lineage", "show", "math", code=1)


def test_a_damaged_attestation_of_the_graph_is_reported_with_its_key(home, good):
    _, sft, _ = good
    key = f"{MINE}/attestations/{hex_of(sft[0])}/00000001"
    file = home / "store" / "keys" / key
    file.chmod(0o644)
    file.write_bytes(b"{}")
    assert f"WRONG {key}" in asked("lineage", "show", "math", code=1)


@pytest.mark.parametrize("digits", ["9" * 9, "9" * 5000, "٣"])
def test_a_version_that_cannot_be_is_refused(good, digits):
    assert "Traceback" not in asked("lineage", "show", f"math@{digits}", code=1)
