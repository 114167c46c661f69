"""A server that is not there, or that says nothing, is reported soon."""

import copy
import socket
import subprocess
import sys
import time

import pytest

from lineage.errors import StoreFullError, StoreUnfitError, UnreachableError
from lineage.store.probes import KNOCK_SECONDS, probe_server
from lineage.store.s3 import Bucket
from lineage.store.s3_store import open_s3


@pytest.fixture
def silent_server(monkeypatch, tmp_path):
    """A server that takes connections and never answers."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        yield listening
    open_s3.cache_clear()


def test_a_server_that_says_nothing_is_reported_in_time(silent_server):
    assert KNOCK_SECONDS < 20
    started = time.monotonic()
    with pytest.raises(UnreachableError):
        probe_server(Bucket("bucket", "p"), "s3://bucket/p", knock_seconds=0.5)
    assert time.monotonic() - started < 5


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
    code = "from lineage.store import open_store; open_store('s3://bucket/p')"
    started = time.monotonic()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "StoreUnfitError" in result.stderr
    assert time.monotonic() - started < 20
