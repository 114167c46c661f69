"""The S3 store against a real HTTP server, SeaweedFS, with faults injected on the way."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lineage.digest import hex_of
from lineage.errors import StoreUnfitError
from lineage.registry.registry import Registry
from lineage.store.probes import probe_server
from lineage.store.s3 import Bucket
from lineage.store.s3_calls import NoAnswerError
from lineage.store.s3_store import S3Store, open_s3
from lineage.trust.author import own_key
from lineage.trust.chain import own_root, publish
from tests.lineage.test_registry import artifact
from tests.support.making import checkpoint
from tests.support.s3_checkpoints import PART, large
from tests.support.seaweedfs import SeaweedFS, binary, free_ports

pytestmark = [
    pytest.mark.slow,
    pytest.mark.engine,
    # sockets that the faults break are closed by the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
BUCKET = "store"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if binary() is None:
        pytest.skip("SeaweedFS is not installed")
    with SeaweedFS(tmp_path_factory.mktemp("seaweedfs")) as server:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in server.environment().items():
                patch.setenv(name, value)
            Bucket(BUCKET, "")._calls.client.create_bucket(Bucket=BUCKET)
        yield server


class Faults(BaseHTTPRequestHandler):
    """A proxy that spoils requests by plan: the first that matches each fault, so many times."""

    protocol_version = "HTTP/1.1"
    upstream = ""
    plan: list[list] = []  # noqa: RUF012 - set by each test; [method, in path, fault, times]
    lock = threading.Lock()

    def fault(self) -> str:
        with Faults.lock:
            for row in Faults.plan:
                if row[0] == self.command and row[1] in self.path and row[3] > 0:
                    row[3] -= 1
                    return row[2]
        return ""

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        fault = self.fault()
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.connection.close()
            self.close_connection = True
            return
        if fault == "503":
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if fault == "slow":
            time.sleep(2)
        data = self.forward(body)
        if fault == "lost":  # done, but nobody hears of it
            self.connection.close()
            self.close_connection = True
            return
        if fault == "truncated":
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            return
        self.wfile.write(data)

    def forward(self, body: bytes) -> bytes:
        """Ask the server, send its head on, return its body."""
        headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
        request = urllib.request.Request(
            Faults.upstream + self.path, body or None, headers, method=self.command
        )
        try:
            reply = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            reply = error
        with reply:
            data = reply.read()
            self.send_response(reply.status)
            for key, value in reply.headers.items():
                if key.lower() not in {"connection", "transfer-encoding", "content-length"}:
                    self.send_header(key, value)
            size = reply.headers.get("Content-Length") if self.command == "HEAD" else len(data)
            self.send_header("Content-Length", str(size or 0))
            self.end_headers()
        return data

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

    def log_message(self, *_) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint(server, monkeypatch):
    Faults.upstream, Faults.plan = server.url, []
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Faults)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
    yield
    proxy.shutdown()
    proxy.server_close()


@pytest.fixture
def prefix():
    return f"p{time.time_ns()}"


@pytest.fixture
def bucket(endpoint, prefix):
    return Bucket(BUCKET, prefix)


@pytest.fixture
def store(bucket, tmp_path):
    store = S3Store(bucket, "s3://x", tmp_path / "cache", part_bytes=PART)
    publish(store, own_root(own_key()), own_key())
    return store


def test_the_server_passes_the_probe(bucket):
    probe_server(bucket, "SeaweedFS")


@pytest.mark.parametrize("fault", ["reset", "503", "slow", "lost"])
def test_a_put_survives_what_happens_on_the_way(store, tmp_path, fault):
    Faults.plan = [
        ["PUT", "/blobs/", fault, 2],
        ["POST", "uploads", fault, 1],
        ["POST", "uploadId", fault, 1],
        ["HEAD", "/blobs/", "503", 1],
    ]
    folder = large(tmp_path / "in")
    out = store.tree(store.put_tree(folder))
    assert (out / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("fault", ["reset", "503", "slow", "truncated"])
def test_a_get_survives_what_happens_on_the_way(store, tmp_path, fault):
    folder = large(tmp_path / "in")
    digest = store.put_tree(folder)
    Faults.plan = [["GET", "/blobs/", fault, 3]]
    out = store.tree(digest)
    assert (out / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    assert Faults.plan[0][3] == 0


@pytest.mark.parametrize("fault", ["reset", "503", "lost"])
def test_a_claim_is_won_once_whatever_gets_lost(store, fault):
    Faults.plan = [["PUT", "/keys/", fault, 2]]
    assert store.claim("versions/1", b"mine")
    assert not store.claim("versions/1", b"yours")
    assert store.read_key("versions/1") == b"mine"


def test_a_server_that_never_answers_ends_in_a_clear_error(store):
    Faults.plan = [["GET", "/blobs/", "truncated", 1000]]
    digest = store.put_bytes(b"weights" * 1000)
    with pytest.raises(NoAnswerError, match=hex_of(digest)[2:]):
        store.get_bytes(digest)


RELEASE = """
import sys
from pathlib import Path
from lineage.store.s3 import Bucket
from lineage.store.s3_store import S3Store
from lineage.registry.registry import Registry
from tests.lineage.test_registry import artifact
bucket, prefix, cache, writer = sys.argv[1:]
store = S3Store(Bucket(bucket, prefix), "s3://x", Path(cache))
for number in range(5):
    Registry(store).register("teacher.math", artifact(store, f"{writer} {number}"), owner=writer)
"""


def test_eight_teams_release_at_once_and_nothing_is_lost(store, prefix, tmp_path):
    command = [sys.executable, "-c", RELEASE, BUCKET, prefix]
    writers = [subprocess.Popen([*command, str(tmp_path / str(n)), f"team-{n}"]) for n in range(8)]
    assert [writer.wait() for writer in writers] == [0] * 8
    entries = Registry(store).versions("teacher.math")
    assert [entry.version for entry in entries] == list(range(1, 41))
    assert len({entry.digest for entry in entries}) == 40


def test_what_was_acknowledged_outlives_a_killed_server(server, store, tmp_path):
    digest = store.put_tree(checkpoint(tmp_path / "in"))
    entry = Registry(store).register("teacher.math", artifact(store, "x"), owner="team")
    server.kill()
    server.start()
    fresh = S3Store(store._bucket, "s3://x", tmp_path / "fresh")
    assert (fresh.tree(digest) / "nested" / "notes.txt").read_text() == "hello"
    assert Registry(fresh).versions("teacher.math") == [entry]


@pytest.mark.skipif(
    not os.environ.get("S3RVER"), reason="set S3RVER to the command of npm's s3rver"
)
def test_a_server_that_ignores_conditions_is_refused(tmp_path, monkeypatch):
    [port] = free_ports(1)
    command = [os.environ["S3RVER"], "-d", str(tmp_path), "-a", "127.0.0.1", "-p", str(port)]
    quiet = subprocess.DEVNULL
    careless = subprocess.Popen(command, stdout=quiet, stderr=quiet)
    try:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "S3RVER")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("PROVOST_HOME", str(tmp_path / "home"))
        made = Bucket("careless", "p")
        wait_for(port)
        made._calls.client.create_bucket(Bucket="careless")
        with pytest.raises(StoreUnfitError, match="writers"):
            open_s3("s3://careless/p")
    finally:
        careless.kill()
        careless.wait()


def wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe_socket:
            if probe_socket.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on {port}")
