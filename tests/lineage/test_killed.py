"""Processes killed at random moments: what was acknowledged is there, nothing is half visible.

A child puts trees, writes records, releases versions or rebuilds the MLflow view, and says so on a
pipe only after each call has returned. It is killed with SIGKILL after a random time. Whatever it
said must then be true for a fresh process, and whatever else is visible must be whole.
"""

import multiprocessing
import os
import random
import signal
import time

import pytest

from lineage import mirror
from lineage.artifacts import Artifact
from lineage.digest import hex_of
from lineage.mirror import connection, showing
from lineage.mirror.connection import TrackingState
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.store.store import FolderStore, open_store, read_tree
from tests.support.making import checkpoint, write_record

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's, on SQLAlchemy 2.1
]
KILLS = 120
REINDEX_KILLS = 15


def work(uri: str, folder, number: int, said) -> None:
    """Put, record and release without end; say each thing after it is done."""
    store = open_store(uri)
    for turn in range(10**6):
        place = folder / f"{number}-{turn}"
        tree = store.put_tree(checkpoint(place, os.urandom(200_000)))
        said.send(("tree", tree))
        record, _ = write_record(store, b"", output=tree, kind="sft", number=number, turn=turn)
        said.send(("record", record))
        artifact = Artifact(kind="checkpoint", digest=tree, record=record)
        registry = Registry(store)
        entry = registry.register("teacher.math", artifact, owner="team")
        said.send(("entry", entry))
        registry.point("teacher.math", "released", entry.version, by="team")
        said.send(("alias", entry.version))


def kill_after(seconds: float, target, arguments) -> list:
    """Run ``target`` in a fork, kill it after ``seconds``, return what it had said."""
    context = multiprocessing.get_context("fork")
    hears, says = context.Pipe(duplex=False)
    child = context.Process(target=target, args=(*arguments, says))
    child.start()
    says.close()
    time.sleep(seconds)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    said = []
    try:
        while hears.poll():
            said.append(hears.recv())
    except EOFError:
        pass
    hears.close()
    return said


def check_acknowledged(store: FolderStore, said: list) -> None:
    records, registry = Records(store), Registry(store)
    for what, value in said:
        if what == "tree":
            assert (store.tree(value) / "model.safetensors").stat().st_size > 200_000
        elif what == "record":
            assert records.output(value) is not None
        elif what == "entry":
            assert registry.resolve(f"math@{value.version}") == value
        else:
            assert registry.aliases("teacher.math")["released"] >= value


def check_nothing_half(store: FolderStore) -> None:
    """Read everything that is visible: slots, records, manifests and the files they name."""
    for digest in Records(store).all():
        Records(store).read(digest)
        Records(store).attestations(digest)
    for entry in Registry(store).versions("teacher.math"):
        for file in read_tree(store, entry.digest).files:
            assert store.check(file.digest) == file.size
    for digest in store.blobs.digests():
        assert len(hex_of(digest)) == 64
        store.check(digest)


def test_a_hundred_kills_lose_nothing_that_was_acknowledged(store, tmp_path):
    chance = random.Random(20261121)
    everything = []
    for number in range(KILLS):
        delay = chance.uniform(0.002, 0.25)
        everything += kill_after(delay, work, (store.uri, tmp_path, number))
        fresh = FolderStore(tmp_path / "store")
        check_acknowledged(fresh, everything[-8:])
    check_acknowledged(fresh, everything)
    check_nothing_half(fresh)
    assert len({what for what, _ in everything}) == 4
    assert len(everything) > KILLS  # the kills hit work, not only its start
    FolderStore(tmp_path / "store")
    unfinished = list((tmp_path / "store" / "unfinished").iterdir())
    assert len(unfinished) <= 2  # this process's own lock and folder


def rebuild(uri: str, tracking: str, said) -> None:
    mirror.reindex(open_store(uri), tracking)
    said.send("done")


def test_a_killed_reindex_is_finished_by_the_next(store, tmp_path, monkeypatch):
    import mlflow  # noqa: F401 - imported once here, not again in each child

    monkeypatch.setenv("PROVOST_HOME", str(tmp_path))
    for number in range(12):
        rows = [(step, "loss", 1.0, "sft") for step in range(300)]
        record, output = write_record(store, b"%d" % number, number=number, metrics=rows)
        artifact = Artifact(kind="checkpoint", digest=output, record=record)
        Registry(store).register("teacher.math", artifact, owner="team")
    Registry(store).point("teacher.math", "released", 7, by="team")
    tracking = f"sqlite:///{tmp_path / 'mlflow.db'}"
    chance = random.Random(7)
    for _ in range(REINDEX_KILLS):
        kill_after(chance.uniform(0.5, 3.0), rebuild, (store.uri, tracking))
    monkeypatch.setattr(showing, "HEALTH", TrackingState())
    assert mirror.reindex(store, tracking) == mirror.Reindexed(records=12, names=1, versions=12)
    client = connection.client_of(tracking)
    experiment = client.get_experiment_by_name("teachers")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 12
    assert len({run.data.tags["provost.record"] for run in runs}) == 12
    for run in runs:
        assert len(client.get_metric_history(run.info.run_id, "sft/loss")) == 300
        assert len(client.get_run(run.info.run_id).outputs.model_outputs) == 1
    assert len(client.search_logged_models([experiment.experiment_id])) == 12
    assert len(client.search_model_versions("name='teacher.math'")) == 12
    assert str(client.get_model_version_by_alias("teacher.math", "released").version) == "7"
