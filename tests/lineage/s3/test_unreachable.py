"""A server that is not there, or that says nothing, is reported soon."""

import copy
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import botocore.session
import pytest

from lineage.errors import StoreFullError, StoreUnfitError, UnreachableError
from lineage.store.probes import KNOCK_SECONDS, probe_server
from lineage.store.s3 import Bucket
from lineage.store.s3_calls import NoAnswerError, Waits
from lineage.store.s3_store import open_s3

SHORT = Waits(connect=0.2, answer=0.2, probe=0.2, outage=0.5, pause=0.1, slow=2.0)


@pytest.fixture
def at(monkeypatch, tmp_path, loader):
    """Return a function that makes a port of this machine the address of S3."""
    monkeypatch.setattr(botocore.session, "create_loader", lambda *_: loader)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path))
    yield lambda port: monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    open_s3.cache_clear()


@pytest.fixture
def silent_server(at):
    """A server that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        at(listening.getsockname()[1])
        yield listening


class Slow(BaseHTTPRequestHandler):
    """An S3 server that answers probes at once, and all else by plan."""

    protocol_version = "HTTP/1.1"
    plan: list[str] = []  # noqa: RUF012 - set by each test; what to do with each GET, then "answer"

    def do_HEAD(self) -> None:
        self.send_response(404)
        self.end_headers()

    def do_GET(self) -> None:
        todo = Slow.plan.pop(0) if Slow.plan else "answer"
        if todo == "sleep":
            time.sleep(0.6)
        self.send_response(503 if todo == "busy" else 200)
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"wei" if todo == "cut off" else b"weights")
        self.close_connection = todo == "cut off"

    def log_message(self, *_) -> None:
        """Print nothing."""


@pytest.fixture
def slow_server(at):
    """Return a server that answers each GET by ``Slow.plan``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    at(server.server_port)
    yield server
    server.shutdown()
    server.server_close()


def seconds_to_fail(bucket, error):
    started = time.monotonic()
    with pytest.raises(error) as caught:
        bucket.get("blobs/a")
    return time.monotonic() - started, caught.value


def test_the_waits_of_a_call_add_up_to_less_than_20_seconds():
    waits = Waits()
    refused = waits.outage + waits.connect
    dropped = max(waits.outage, waits.connect) + waits.connect
    silent = max(waits.outage, waits.answer) + waits.probe
    assert max(refused, dropped, silent) < 20


@pytest.mark.parametrize("is_open", [True, False])
def test_a_server_that_is_gone_in_the_middle_of_the_work_is_reported(silent_server, is_open):
    address = f"http://127.0.0.1:{silent_server.getsockname()[1]}"
    if not is_open:
        silent_server.close()
    took, error = seconds_to_fail(Bucket("models", "p", SHORT), NoAnswerError)
    assert took < 3
    assert address in str(error)
    assert "models" in str(error)


@pytest.mark.parametrize(
    "plan", [["sleep"], ["sleep", "cut off", "sleep"], ["cut off", "cut off"], ["busy", "busy"]]
)
def test_a_slow_or_faulty_server_is_not_given_up(slow_server, plan):
    Slow.plan = [*plan]
    assert Bucket("models", "p", SHORT).get("blobs/a") == b"weights"
    assert Slow.plan == []


def test_a_server_that_cuts_every_answer_off_is_given_up(slow_server):
    Slow.plan = ["cut off"] * 100
    took, _ = seconds_to_fail(Bucket("models", "p", SHORT), NoAnswerError)
    assert took < 20
    assert 6 <= 100 - len(Slow.plan) < 100


def test_a_server_that_comes_back_is_waited_for(silent_server, at):
    port = silent_server.getsockname()[1]
    silent_server.close()
    servers = []

    def come_back():
        servers.append(ThreadingHTTPServer(("127.0.0.1", port), Slow))
        servers[0].serve_forever()

    Slow.plan = []
    threading.Timer(0.5, come_back).start()
    waits = Waits(connect=0.2, answer=0.2, probe=0.2, outage=10.0, pause=0.1, slow=2.0)
    assert Bucket("models", "p", waits).get("blobs/a") == b"weights"
    servers[0].shutdown()
    servers[0].server_close()


def test_a_server_that_says_nothing_is_reported_in_time(silent_server):
    assert KNOCK_SECONDS < 20
    bucket, started = Bucket("bucket", "p"), time.monotonic()
    with pytest.raises(UnreachableError):
        probe_server(bucket, "s3://bucket/p", knock_seconds=0.5)
    assert time.monotonic() - started < 5


@pytest.mark.medium
def test_a_closed_port_is_reported_as_unreachable(silent_server):
    silent_server.close()
    started = time.monotonic()
    with pytest.raises(StoreUnfitError) as caught:
        open_s3("s3://bucket/p")
    assert isinstance(caught.value.__cause__, UnreachableError)
    assert time.monotonic() - started < 20


def test_a_fault_of_the_platform_points_to_the_doctor_once():
    for error in (UnreachableError("no answer"), StoreFullError("no space left")):
        assert str(error).startswith(error.args[0])  # what and why come first
        assert str(copy.copy(error)) == str(error)  # as another process gets it
        assert str(error).count("`provost doctor`") == 1


@pytest.mark.slow
def test_a_process_without_a_server_ends_within_20_seconds(silent_server):
    code = "from lineage.store.store import open_store; open_store('s3://bucket/p')"
    started = time.monotonic()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "StoreUnfitError" in result.stderr
    assert time.monotonic() - started < 20
