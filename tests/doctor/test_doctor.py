"""``provost doctor``: each check says ok, warning or failure for the right reason."""

import errno
import json
import os
import shutil
import tempfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from lineage.doctor.check import Check, worst
from lineage.doctor.disk import check_folder, existing_parent, network_disk
from lineage.doctor.places import check_store, check_tracking
from lineage.store.probes import PROBES, Probe
from tasks.doctor import confinement, machine
from tasks.doctor.machine import check_package, judge_python
from workflows.cli import main

ALL = {"user_namespace": 1, "namespaces_as_root": 1, "system_call_filter": 1, "landlock": 7}
INFINITE = float("inf")


def statuses(checks):
    return {check.name: check.status for check in checks}


def as_user(uid, work):
    """Return the JSON result of ``work`` in a forked child of another user."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.setgid(uid)
        os.setuid(uid)
        os.write(writer, json.dumps(work()).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return json.loads(text)


@pytest.fixture
def shared_folder():
    folder = Path(tempfile.mkdtemp(prefix="doctor-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_fine_folder_is_ok_and_nothing_stays_behind(tmp_path):
    checks = check_folder(tmp_path / "new" / "store")
    found = statuses(checks)
    assert {found[name] for name in ("folder", "hard links", "file locks", "rename")} == {"ok"}
    assert list(tmp_path.iterdir()) == []
    assert existing_parent(tmp_path / "new" / "store") == tmp_path


@pytest.mark.parametrize("name", PROBES)
def test_a_disk_without_one_of_its_needs_is_a_failure(tmp_path, name):
    def refuse(_):
        raise OSError(errno.EPERM, "Operation not permitted")

    probes = {**PROBES, name: Probe("needed", refuse)}
    found = statuses(check_folder(tmp_path, probes))
    assert found[name] == "failure"
    assert [other for other in PROBES if found[other] == "failure"] == [name]


def test_a_store_that_cannot_be_written_is_a_warning_and_none_at_all_a_failure(shared_folder):
    uid = 10001 if os.getuid() == 0 else os.getuid()
    store = shared_folder / "store"
    store.mkdir(mode=0o555)
    shared_folder.chmod(0o555)
    work = {"there": store, "missing": shared_folder / "other"}
    try:
        found = as_user(uid, lambda: {k: statuses(check_folder(v)) for k, v in work.items()})
    finally:
        shared_folder.chmod(0o755)
    assert found["there"]["folder"] == "warning"
    assert found["missing"]["folder"] == "failure"
    assert "hard links" not in found["there"]


def test_an_object_store_that_does_not_answer_is_a_failure():
    assert statuses(check_store("s3://")) == {"object store": "failure"}
    assert statuses(check_store("gopher://x")) == {"object store": "failure"}


class Answer(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self):
        self.send_response(self.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_):
        return


class Broken(Answer):
    status = 500


@pytest.mark.parametrize(("handler", "expected"), [(Answer, "ok"), (Broken, "warning")])
def test_the_doctor_queries_the_tracking_server(handler, expected):
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        found = check_tracking(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert statuses(found) == {"MLflow": expected}


def test_tracking_addresses_that_do_not_answer_are_warnings_and_hide_passwords(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"no database at all, but long enough to be read")
    for uri in (
        f"sqlite:///{tmp_path}/mlflow.db",
        "postgresql://u:secret@127.0.0.1:9/m",
        "ftp://x",
    ):
        (check,) = check_tracking(uri)
        assert check.status == "warning"
        assert check.remedy
        assert "secret" not in check.finding
    assert statuses(check_tracking(f"sqlite:///{tmp_path}/none.db")) == {"MLflow": "ok"}


MOUNTS = """\
22 1 0:21 / / rw,relatime shared:1 - overlay overlay rw
30 22 0:40 / /people rw shared:2 - nfs4 server:/people rw
31 30 0:41 / /people/ann/local\\040disk rw - ext4 /dev/sda1 rw
32 22 0:42 / /scratch rw master:3 - lustre server:/scratch rw
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/work", ""),
        ("/people/ann", "nfs4"),
        ("/people/ann/local disk/runs", ""),
        ("/peopled", ""),
        ("/scratch/runs", "lustre"),
    ],
)
def test_a_network_disk_is_known_by_the_mount_that_is_nearest(tmp_path, place, kind):
    (tmp_path / "mounts").write_text(MOUNTS)
    assert network_disk(Path(place), tmp_path / "mounts") == kind
    assert network_disk(Path(place), tmp_path / "none") == ""


def test_a_database_of_mlflow_on_a_network_disk_is_a_warning(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"22 1 0:21 / {tmp_path} rw - nfs server:/ rw\n")
    uri = f"sqlite:///{tmp_path}/none.db"
    assert statuses(check_tracking(uri, mounts)) == {"MLflow": "ok", "MLflow's database": "warning"}
    mounts.write_text(f"22 1 0:21 / {tmp_path} rw - ext4 /dev/sda1 rw\n")
    assert statuses(check_tracking(uri, mounts)) == {"MLflow": "ok"}


@pytest.mark.parametrize(
    ("change", "name", "status"),
    [
        ({}, "namespaces", "ok"),
        ({"user_namespace": 0}, "namespaces", "ok"),
        ({"user_namespace": 0, "namespaces_as_root": 0}, "namespaces", "warning"),
        ({"landlock": 6}, "Landlock", "ok"),
        ({"landlock": 5}, "Landlock", "warning"),
        ({"landlock": 0}, "Landlock", "failure"),
        ({"system_call_filter": 0}, "system-call filter", "failure"),
    ],
)
def test_what_the_kernel_offers(change, name, status):
    assert statuses(confinement.judge(ALL | change))[name] == status


@pytest.mark.parametrize(
    ("missing", "status"),
    [
        ("", "ok"),
        ("processes_private", "warning"),
        ("network_cut", "failure"),
        ("files_hidden", "failure"),
    ],
)
def test_what_the_worker_is_kept_from(missing, status):
    holds = dict.fromkeys(("network_cut", "files_hidden", "processes_private"), True)
    assert confinement.judge_worker(holds | {missing: False} if missing else holds, 0.1).status == (
        status
    )


@pytest.mark.parametrize(
    ("check", "status"),
    [
        (machine.judge_cores(2), "ok"),
        (machine.judge_cores(1.5), "warning"),
        (machine.judge_memory(3 * 1024**3), "ok"),
        (machine.judge_memory(3 * 1024**3 - 1), "warning"),
        (machine.judge_threads(10_000, INFINITE), "ok"),
        (machine.judge_threads(100, 300), "ok"),
        (machine.judge_threads(101, 300), "warning"),
        (machine.judge_openmp({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "ACTIVE"}, 2), "ok"),
        (machine.judge_openmp({"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "ACTIVE"}, 2), "warning"),
        (machine.judge_openmp({"PROVOST_THREADS": "2"}, 2), "ok"),
        (machine.judge_openmp({"PROVOST_THREADS": "3"}, 2), "warning"),
        (machine.judge_openmp({"PROVOST_THREADS": "many"}, 2), "warning"),
        (judge_python((3, 10), "3.10.1"), "failure"),
        (judge_python((3, 11), "3.11.7"), "ok"),
        (judge_python((3, 12), "3.12.0"), "ok"),
        (judge_python((3, 13), "3.13.0"), "failure"),
        (check_package("torch"), "ok"),
        (check_package("no-such-package-of-ours"), "failure"),
    ],
)
def test_the_limits_of_the_machine(check, status):
    assert check.status == status
    assert bool(check.remedy) == (status != "ok")


def test_threads_of_this_user_are_counted():
    before = machine.threads_in_use(os.getuid())
    assert before >= 1
    assert machine.threads_in_use(4_000_000_000) == 0


def test_the_worst_check_decides():
    rows = [Check("g", "n", status, "f") for status in ("ok", "failure", "warning")]
    assert worst(rows) == "failure"
    assert worst(rows[::2]) == "warning"
    assert worst([]) == "ok"


@pytest.mark.parametrize(("place", "code"), [("store", 0), ("gopher://x", 1)])
def test_the_command_ends_with_1_where_something_failed(tmp_path, monkeypatch, place, code):
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path))
    monkeypatch.setenv("PROVOST_STORE", place if "://" in place else str(tmp_path / place))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    result = CliRunner().invoke(main, ["doctor", "--json"])
    document = json.loads(result.output)
    failed = [row["name"] for row in document["checks"] if row["status"] == "failure"]
    assert document["status"] == worst(Check(**row) for row in document["checks"])
    assert (result.exit_code, failed) == (code, ["object store"] if code else [])
    assert list(tmp_path.iterdir()) == []
    text = CliRunner().invoke(main, ["doctor"])
    assert text.exit_code == code
    assert text.output.count("\n") >= len(document["checks"])
