"""A model of the Hub is compared with the free disk before a byte of it is fetched."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tasks.model.bring_in import located
from tasks.model.files import save_policy
from tasks.model.hub import snapshot_of
from tests.support.refused import refused
from tests.support.tiny_models import tiny_policy

COMMIT = "c" * 40
NAME = "org/model"


class _Hub(BaseHTTPRequestHandler):
    """Answers for one public model as the Hub's API does, and counts the files that it gives."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, *, with_body):
        path = self.path.partition("?")[0]
        folder = self.server.folder
        if path.startswith(f"/api/models/{NAME}/tree/"):
            rows = [
                {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": file.name}
                for file in sorted(folder.iterdir())
            ]
            self._send(json.dumps(rows).encode(), "application/json", with_body=with_body)
        elif path.startswith(f"/api/models/{NAME}"):
            body = json.dumps({"id": NAME, "sha": COMMIT, "siblings": []}).encode()
            self._send(body, "application/json", with_body=with_body)
        elif path.startswith(f"/{NAME}/resolve/{COMMIT}/"):
            file = path.rpartition("/")[2]
            if with_body:
                self.server.given.append(file)
            self._send((folder / file).read_bytes(), "application/octet-stream", with_body, file)
        else:
            self.send_error(404)

    def _send(self, body, kind, with_body, file=""):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if file:
            self.send_header("ETag", f'"{file}"')
            self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A server of the Hub's API on this machine, with one model."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    save_policy(tiny_policy(), tmp_path / "model")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    server.folder, server.given = tmp_path / "model", []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.address = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetched(hub, room, store=None, copied=1.0):
    free = {"copied": copied, "free": lambda _: room}
    return snapshot_of(NAME, endpoint=hub.address, store=store, **free)


def sizes(folder):
    files = {file.name: file.stat().st_size for file in folder.iterdir()}
    return sum(files.values()), sum(n for name, n in files.items() if name.endswith(".safetensors"))


def test_what_is_larger_than_the_room_is_refused_before_it_is_fetched(hub, tmp_path):
    whole, _ = sizes(hub.folder)
    with refused("disk-too-small", NAME, "HF_HUB_CACHE", str(tmp_path / "cache")):
        fetched(hub, whole - 1)
    assert hub.given == []
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_the_copy_in_the_store_on_the_same_disk_counts_too(hub, tmp_path):
    whole, weights = sizes(hub.folder)
    with refused("disk-too-small"):
        fetched(hub, whole + weights - 1, tmp_path / "store")
    assert hub.given == []
    assert fetched(hub, whole + weights, tmp_path / "store").name == COMMIT
    assert sorted(hub.given) == sorted(file.name for file in hub.folder.iterdir())


def test_a_copy_in_half_the_bytes_needs_half_the_room(hub, tmp_path):
    whole, weights = sizes(hub.folder)
    room = whole + weights // 2
    with refused("disk-too-small"):
        fetched(hub, room - 1, tmp_path / "store", 0.5)
    assert fetched(hub, room, tmp_path / "store", 0.5).name == COMMIT


def test_what_the_cache_holds_needs_no_more_room_there(hub, tmp_path):
    _, weights = sizes(hub.folder)
    first = fetched(hub, 1 << 40)
    assert fetched(hub, 0) == first
    with refused("disk-too-small"):
        fetched(hub, weights - 1, tmp_path / "store")
    assert fetched(hub, weights, tmp_path / "store") == first


def test_an_import_asks_for_room_in_its_store(hub, monkeypatch, tmp_path):
    """The command's own way: the store's address and the disk as they are."""
    template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with refused("disk-too-small", str(tmp_path)):
        located(NAME, str(tmp_path / "store"))
    assert hub.given == []
    assert Path(tmp_path / "cache", "models--org--model", "snapshots").exists() is False
