"""What is looked at before a vLLM server samples: its version, and that it answers in time."""

import io
import re
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from tasks.platform.progress import Reporter
from tasks.rollout.sampling.vllm.client import VllmError
from tasks.rollout.sampling.vllm.sampler import VllmSampler
from tasks.rollout.sampling.vllm.versions import LOCKED
from tasks.rollout.settings import SamplingEngine, SamplingSettings, VllmServer
from tests.support.project_files import ROOT
from tests.support.refused import raised
from tests.support.tiny_models import tiny_model
from tests.support.vllm_stand_in import NAME, StandIn, serving


@pytest.fixture
def stand_in():
    """Return a server that does all well."""
    return StandIn()


@pytest.fixture
def open_sampler(stand_in, tmp_path):
    """Return a function that opens a sampler; fields of the server by name."""
    with serving(stand_in) as address:

        def make(**server):
            fields = {"url": address, "served_model": NAME, "weights_folder": str(tmp_path)}
            served = VllmServer(**fields | {"timeout_seconds": 5.0} | server)
            told = SamplingSettings(engine=SamplingEngine.VLLM, vllm=served)
            return VllmSampler(tiny_model(), 1, told)

        yield make


@pytest.mark.parametrize(
    ("version", "warned"),
    [(LOCKED, ""), (f"{LOCKED}+cpu", ""), ("0.31.0", "0.31.0"), ("0.33.0+cpu", "0.33.0")],
)
def test_a_server_of_an_untested_version_is_warned_of(
    open_sampler, stand_in, monkeypatch, version, warned
):
    stream = io.StringIO()
    monkeypatch.setattr("tasks.platform.progress._reporter", Reporter(None, stream))
    stand_in.vllm_version = version
    open_sampler()
    assert ("warning" in stream.getvalue()) is bool(warned)
    assert warned in stream.getvalue()


@pytest.mark.parametrize("version", [None, "", 32])
def test_a_server_without_a_version_is_refused(open_sampler, stand_in, version):
    stand_in.vllm_version = version
    with raised(VllmError, "no-version"):
        open_sampler()


def test_the_tested_version_is_that_of_the_images_and_of_the_engine_tests():
    for file in ("images/rollout/requirements.in", "tests/engines/vllm.in"):
        pins = re.findall(r"^vllm(?:-cpu)?==(\S+)$", (ROOT / file).read_text(), re.MULTILINE)
        assert pins == [LOCKED]


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
def test_a_server_that_sends_a_byte_now_and_then_is_not_waited_for(open_sampler, head):
    """The head drips, or the body after a head that is there at once."""
    begun = time.monotonic()
    with (
        dripping(head) as url,
        raised(VllmError, "no-answer", "0.5 s"),
    ):
        open_sampler(url=url, timeout_seconds=0.5)
    assert 0.5 <= time.monotonic() - begun < 2.5


@contextmanager
def dripping(head):
    """Yield the address of a server that sends ``head``, and then 200 bytes in ten seconds."""
    over = threading.Event()

    def serve(listener):
        with listener.accept()[0] as connection, suppress(OSError):
            connection.sendall(head)
            for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"s" * 176:
                connection.sendall(bytes([byte]))
                if over.wait(0.05):
                    break

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            thread.join()
