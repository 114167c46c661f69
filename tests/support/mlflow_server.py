"""MLflow's own server, as a process or a fork, and a proxy before it under another name."""

import http.client
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

HOST = "mlflow.example.org"
START_SECONDS = 120


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def mlflow_server(backend: str, folder: Path, *arguments: str, **settings: str) -> Iterator[str]:
    """Yield the address of a server on the database ``backend``; its files go into ``folder``."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--workers=1"),
        *("--host=127.0.0.1", f"--port={port}", "--serve-artifacts"),
        f"--artifacts-destination={folder / 'artifacts'}",
        *arguments,
    ]
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": backend,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **settings,
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server, folder / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)


@contextmanager
def forked_server(backend: str, folder: Path) -> Iterator[str]:
    """Yield the address of the application behind that server, in a fork of this process.

    It imports nothing a second time: the command takes eight seconds to start.
    """
    settings = {
        "_MLFLOW_SERVER_FILE_STORE": backend,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }
    port = free_port()
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(port, settings))
    server.start()
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert server.is_alive(), "MLflow's application did not start"
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.join(30)


def _serve(port: int, settings: dict[str, str]) -> None:
    warnings.simplefilter("ignore")  # what pytest makes an error is MLflow's own affair
    os.environ |= settings
    from mlflow.server import app

    app.run("127.0.0.1", port, threaded=True)


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=2):
            return True
    except (URLError, OSError):
        return False


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if _answers(address):
            return
        time.sleep(0.2)
    raise RuntimeError(f"MLflow's server did not start: {log.read_text('utf-8')[-2000:]}")


@contextmanager
def proxy(address: str) -> Iterator[int]:
    """Yield the port of a proxy that hands requests on as they are, their host's name included."""
    behind = address.removeprefix("http://")

    class Forward(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            to = http.client.HTTPConnection(behind, timeout=60)
            to.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                to.putheader(name, value)
            to.endheaders(body)
            answer = to.getresponse()
            data = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"transfer-encoding", "content-length", "connection"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            to.close()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = forward

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
