"""Two climbs and consolidations of them in a bucket of a real S3 server: SeaweedFS."""

import shutil
import threading
import time
from contextlib import contextmanager

import boto3
import pytest

from lineage.artifacts import Release, Student, read_manifest
from lineage.operations.verify import Verifier
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.store.s3 import Bucket
from lineage.store.s3_store import S3Store, open_s3
from lineage.store.store import open_store
from lineage.trust.author import own_key
from lineage.trust.chain import own_root, publish
from tasks.model.files import load_model
from tasks.model.identity import identity_of
from tests.support.seaweedfs import SeaweedFS, binary
from tests.support.tiny_faculty import (
    ORDER,
    RUNG_STEPS,
    TEAMS,
    Contents,
    climb,
    importable,
    make_fork_point,
    write_team,
)
from workflows.consolidation.workflow import consolidate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.engine,
    pytest.mark.skipif(binary() is None, reason="SeaweedFS is not installed"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    # sockets that a killed server leaves are closed by the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
PACKAGE = "bucket_teams"
BUCKET, PREFIX = "store", "production"
URI = f"s3://{BUCKET}/{PREFIX}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with SeaweedFS(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("machine") / "home"


@pytest.fixture(scope="module")
def machine(server, tmp_path_factory, mlflow_database):
    """Return the environment of one machine with a bucket as its store."""
    folder = tmp_path_factory.mktemp("machine") / "home"
    folder.mkdir()
    shutil.copyfile(mlflow_database, folder / "mlflow.db")
    return server.environment() | {"PROVOST_HOME": str(folder), "PROVOST_STORE": URI}


@contextmanager
def on(machine):
    """Work on that machine for a while."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in machine.items():
            patch.setenv(name, value)
        open_s3.cache_clear()
        try:
            yield open_store
        finally:
            open_s3.cache_clear()


@pytest.fixture(scope="module")
def student(machine, tmp_path_factory):
    """Make a fork point, two released teachers and a student; return the student's entry."""
    root = tmp_path_factory.mktemp("teams")
    teams = [write_team(root, name, package=PACKAGE) for name in TEAMS]
    with on(machine), importable(root):
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        publish(open_store(), own_root(own_key()), own_key())
        make_fork_point()
        for team in teams:
            climb(team)
        consolidate(**ORDER)
        yield Registry(open_store()).resolve("student.general@1")


@pytest.fixture
def store(machine, student, tmp_path):
    """The store as another machine finds it: nothing is in its cache."""
    with on(machine):
        yield S3Store(Bucket(BUCKET, PREFIX), URI, tmp_path / "cache")


def num_objects(client):
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{PREFIX}/")
    return sum(page["KeyCount"] for page in pages)


def test_another_machine_verifies_the_student_and_all_that_it_descends_from(store, student):
    found = Verifier(store, identity_of).verify(student.record)
    assert found.problems == []
    assert found.records > 10
    manifest = read_manifest(store, student.digest, Student)
    weights = load_model(store.tree(manifest.checkpoint.digest)).state_dict()
    assert all(bool(weight.isfinite().all()) for weight in weights.values())


@pytest.mark.parametrize("team", TEAMS)
def test_a_teacher_was_released_with_its_ladder(store, student, team):
    release = read_manifest(store, Registry(store).resolve(f"{team}@released").digest, Release)
    assert [rung.step for rung in release.ladder] == RUNG_STEPS
    assert all(store.has(rung.checkpoint.digest) for rung in release.ladder)


def test_a_rerun_adds_nothing_to_the_bucket(machine, student):
    with on(machine):
        before, objects = Contents.now(), num_objects(boto3.client("s3"))
        consolidate(**ORDER)
        assert Contents.now() == before
        assert num_objects(boto3.client("s3")) == objects


def test_the_next_run_finishes_a_consolidation_after_its_server_was_killed(
    machine, server, student
):
    order = ORDER | {"mopd_steps": 3}
    with on(machine):
        client = boto3.client("s3")
        enough = num_objects(client) + 8

        def kill():
            while num_objects(client) < enough:
                time.sleep(0.05)
            server.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(Exception, match=server.url):
            consolidate(**order)
        killer.join()
        server.start()
        consolidate(**order)
        store = open_store()
        entry = Registry(store).resolve("student.general@2")
        assert Verifier(store, identity_of).verify(entry.record).problems == []
        for record in Records(store).all():
            assert len(Records(store).attestations(record)) == 1
