"""The MLflow view on PostgreSQL, a real server that the test starts and stops.

Its columns have lengths that SQLite does not enforce, so long settings and tags are tried here.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from lineage import mirror
from lineage.artifacts import Artifact
from lineage.mirror import connection, showing
from lineage.record import Input
from lineage.registry import Registry
from lineage.tracking import Health
from tests.lineage.making import write_record

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("psycopg2")
    if not PROGRAMS:
        pytest.skip("PostgreSQL is not installed (Debian's package is `postgresql`)")
    folder = Path(tempfile.mkdtemp(prefix="provost-pg-"))
    user = None
    if os.geteuid() == 0:  # the server refuses to run as root
        user = "postgres"
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(program: str, *arguments: str) -> None:
        command = [str(PROGRAMS[-1].with_name(program)), *arguments]
        quiet = subprocess.DEVNULL
        subprocess.run(command, check=True, user=user, cwd=folder, stdout=quiet, stderr=quiet)

    data, log = str(folder / "data"), str(folder / "log")
    run("initdb", "-D", data, "-U", "mlflow", "--auth=trust", "-E", "UTF8")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    run("pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start")
    try:
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def test_the_whole_view_is_rebuilt_on_postgresql(server, store, tmp_path, monkeypatch, request):
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setattr(showing, "HEALTH", Health())
    base, weights = write_record(store, b"base", kind="base")
    start = Input(role="student", artifact=weights, record=base, weight=0.5)
    data = Input(role="data " + "r" * 600, artifact=store.put_bytes(b"rows"))
    rows = [(step, "loss", float("nan") if step == 5 else 1.0, "sft") for step in range(10_000)]
    record, output = write_record(
        store,
        b"child",
        start,
        data,
        metrics=rows,
        prompt="x" * 60_000,
        umlaut="ä" * 6000,
        owner="o" * 9000,
    )
    registry = Registry(store)
    artifact = Artifact(kind="checkpoint", digest=output, record=record)
    registry.register("teacher.math", artifact, owner="team", note="n" * 9000)
    registry.point("teacher.math", "released", 1, by="lead")
    assert mirror.mirror_record(store, record)
    assert mirror.mirror_entry(store, "teacher.math")
    assert mirror.reindex(store) == mirror.Reindexed(records=2, names=1, versions=1)
    client = connection.client_of(server)
    experiment = client.get_experiment_by_name("sft").experiment_id
    [run] = client.search_runs([experiment])
    assert len(client.get_metric_history(run.info.run_id, "sft/loss")) == 10_000
    assert run.data.params["prompt"].endswith("[truncated]")
    [parent] = client.get_run(run.info.run_id).inputs.model_inputs
    assert client.get_logged_model(parent.model_id).tags["provost.digest"] == weights
    assert str(client.get_model_version_by_alias("teacher.math", "released").version) == "1"
    client._tracking_client.store.engine.dispose()
