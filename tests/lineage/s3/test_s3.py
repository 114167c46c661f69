"""The S3 store against moto, a simulation in this process: the same promises as the folder."""

import time
from types import SimpleNamespace

import boto3
import pytest

from lineage.errors import CorruptError, MissingBlobError, RefusedFileError, StoreUnfitError
from lineage.operations.gc import collect
from lineage.store import s3_calls
from lineage.store.documents import is_settled
from lineage.store.probes import probe_server
from lineage.store.s3 import Bucket
from lineage.store.s3_answers import UploadedPart
from lineage.store.s3_store import open_s3
from lineage.store.store import read_tree
from lineage.store.transfer import Piece, pieces
from tests.support.making import checkpoint, write_record
from tests.support.refused import raised
from tests.support.s3_checkpoints import PART, large, reopened


def blob_key(digest):
    name = digest.removeprefix("sha256:")
    return f"team/a/blobs/{name[:2]}/{name[2:]}"


def test_a_large_tree_goes_up_in_parts_and_comes_back(store, tmp_path):
    folder = large(tmp_path / "in")
    digest = store.put_tree(folder)
    out = store.tree(digest)
    for name in ("config.json", "model.safetensors", "nested/notes.txt"):
        assert (out / name).read_bytes() == (folder / name).read_bytes()


def test_a_record_is_written_and_found(store):
    record, output = write_record(store, b"weights")
    from lineage.records.record import Records

    assert Records(store).output(record).output == output
    assert Records(store).all() == [record]


def test_a_slot_is_claimed_once_and_a_lost_answer_is_not_taken_for_a_loss(store, monkeypatch):
    assert store.claim("a/1", b"x")
    assert not store.claim("a/1", b"x")
    assert store.read_key("a/1") == b"x"
    assert store.read_key("a/2") is None
    assert store.keys("a") == ["a/1"]
    bucket = Bucket("bucket", "team/a")
    bucket._calls.client.meta.events.register("before-send.s3.PutObject", send_twice(bucket))
    assert bucket.create("keys/a/3", b"y", "me")
    assert not bucket.create("keys/a/3", b"z", "you")


def test_the_stamp_of_a_slot_changes_with_its_bytes(store):
    for key in ("a/b/1", "a/b/2", "a/c"):
        assert store.claim(key, b"x")
    before = store.stamps("a")
    assert {path: set(slots) for path, slots in before.items()} == {"a/b": {"1", "2"}, "a": {"c"}}
    assert store.stamps("a/b") == {"a/b": before["a/b"]}
    Bucket("bucket", "team/a").put("keys/a/b/1", b"y")
    after = store.stamps("a")
    assert after["a/b"]["1"] != before["a/b"]["1"]
    assert after["a/b"]["2"] == before["a/b"]["2"]
    now = time.time()
    assert not is_settled(after["a/b"]["1"], now)
    assert is_settled(after["a/b"]["1"], now + 10)


def send_twice(bucket):
    """Let the request reach S3 once before it is sent: as when the first answer got lost."""
    sent = []

    def twice(request, **_):
        if not sent:
            sent.append(request)
            claim = request.headers["x-amz-meta-provost-claim"]
            body = request.body if isinstance(request.body, bytes) else b"y"
            other = boto3.client("s3")
            key = request.url.split("bucket/")[1].split("?")[0]
            value = claim.decode() if isinstance(claim, bytes) else claim
            other.put_object(Bucket="bucket", Key=key, Body=body, Metadata={"provost-claim": value})

    return twice


def test_changed_and_cut_off_objects_are_found(store, client, tmp_path):
    digest = store.put_bytes(b"weights")
    client.put_object(Bucket="bucket", Key=blob_key(digest), Body=b"wEights")
    with pytest.raises(CorruptError):
        store.get_bytes(digest)
    with pytest.raises(CorruptError):
        store.check(digest)
    tree = store.put_tree(large(tmp_path / "in"))
    weights = next(f for f in read_tree(store, tree).files if f.path == "model.safetensors")
    client.put_object(Bucket="bucket", Key=blob_key(weights.digest), Body=b"short")
    with pytest.raises(CorruptError):
        store.tree(tree)
    client.put_object(Bucket="bucket", Key=blob_key(weights.digest), Body=bytes(weights.size))
    with pytest.raises(CorruptError):
        store.tree(tree)
    client.delete_object(Bucket="bucket", Key=blob_key(weights.digest))
    with pytest.raises(MissingBlobError):
        store.tree(tree)


def test_a_damaged_cache_is_fetched_again(store, tmp_path):
    folder = checkpoint(tmp_path / "in")
    digest = store.put_tree(folder)
    store.tree(digest)
    for path in (tmp_path / "c" / "blobs").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(path.read_bytes() + b"!")
    assert (store.tree(digest) / "config.json").read_bytes() == (
        folder / "config.json"
    ).read_bytes()


def test_an_upload_that_was_cut_off_sends_only_what_is_missing(
    store, client, tmp_path, monkeypatch
):
    folder = large(tmp_path / "in")
    sent = []
    send = Bucket.send_part

    def flaky(self, key, upload, number, data):
        if number == 3 and len(sent) < 3:
            sent.append("broken")
            raise ConnectionError("reset")
        sent.append(number)
        return send(self, key, upload, number, data)

    monkeypatch.setattr(Bucket, "send_part", flaky)
    with pytest.raises(ConnectionError):
        store.put_tree(folder)
    assert all(state.size < PART for state in store._bucket.states("blobs/"))  # nothing half
    before = [part for part in sent if part != "broken"]
    sent.extend(["-"] * 3)
    digest = store.put_tree(folder)
    after = sent[sent.index("-") + 3 :]
    assert sorted(before + after) == [1, 2, 3]  # each part once over both tries
    assert (store.tree(digest) / "model.safetensors").stat().st_size > 2 * PART


@pytest.mark.medium
def test_a_download_that_was_cut_off_goes_on(store, tmp_path, monkeypatch):
    digest = store.put_tree(large(tmp_path / "in", 40 << 20))  # three parts of 16 MiB
    asked = []
    read = Bucket.get_range

    def flaky(self, key, start, stop):
        asked.append(start)
        if len(asked) == 3:
            raise ConnectionError("reset")
        return read(self, key, start, stop)

    monkeypatch.setattr(Bucket, "get_range", flaky)
    with pytest.raises(ConnectionError):
        store.tree(digest)
    assert not list((tmp_path / "c").glob("trees/*"))
    store.tree(digest)
    large_parts = [start for start in asked if start >= 16 << 20]
    assert len(asked) <= 3 + 2 + 2  # three tries, what they missed, and the two small files
    assert large_parts


def test_a_pickle_is_refused_here_too(store, tmp_path):
    folder = checkpoint(tmp_path / "in")
    (folder / "model.bin").write_bytes(b"x")
    with pytest.raises(RefusedFileError):
        store.put_tree(folder)


def test_the_probe_passes_a_good_server_and_remembers(client, tmp_path, monkeypatch):
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path / "home"))
    open_s3.cache_clear()
    assert open_s3("s3://bucket/x").uri == "s3://bucket/x"
    assert client.list_objects_v2(Bucket="bucket").get("Contents", []) == []  # nothing left behind
    with pytest.raises(StoreUnfitError, match="nowhere"):
        open_s3("s3://nowhere/x")
    with raised(StoreUnfitError, "no-bucket"):
        open_s3("s3://")


class Careless:
    """A server that accepts conditions and ignores them, as some do."""

    def __init__(self, *, create=True, complete=True):
        self.objects, self.careless_create, self.careless_complete = {}, create, complete

    def create(self, key, data, claim):
        if key in self.objects and not self.careless_create:
            return False
        self.objects[key] = data
        return True

    def get(self, key):
        return self.objects.get(key)

    def answers(self):
        return None

    def delete(self, key):
        self.objects.pop(key, None)

    def begin(self, key):
        return "upload"

    def send_part(self, key, upload, number, data):
        self.part = data
        return UploadedPart(number, len(data), "etag", "")

    def complete(self, key, upload, parts):
        if key in self.objects and not self.careless_complete:
            return False
        self.objects[key] = self.part
        return True

    def abort(self, key, upload):
        self.part = b""


def test_the_probe_refuses_a_server_that_lets_two_writers_win():
    with pytest.raises(StoreUnfitError, match="8 of 8"):
        probe_server(Careless(), "s3://x")
    with pytest.raises(StoreUnfitError, match="in parts"):
        probe_server(Careless(create=False), "s3://x")
    probe_server(Careless(create=False, complete=False), "s3://x")


def test_garbage_is_collected_and_what_was_put_again_is_not(store, server_date):
    lost, again = store.put_bytes(b"lost"), store.put_bytes(b"again")
    _, kept = write_record(store, b"kept")
    server_date.days = 2
    reopened(store).put_bytes(b"again")  # an old blob is found and touched
    touched = [state.key for state in store._bucket.states("touched/")]
    assert touched == ["touched/" + again.removeprefix("sha256:")]
    removed = {blob.digest for blob in collect(store).remove}
    assert lost in removed
    assert kept not in removed


def test_parts_cover_a_file_once():
    assert pieces(0) == []
    assert pieces(25, 10) == [Piece(1, 0, 10), Piece(2, 10, 20), Piece(3, 20, 25)]
    assert len(pieces(10**15)) <= 10_000


def opened_without(monkeypatch, tmp_path, *operations):
    """The store as a role opens it that is refused these operations."""

    def refuse(**_):
        error = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        return SimpleNamespace(status_code=403), error

    def client_of(*arguments, **settings):
        made = real(*arguments, **settings)
        for operation in operations:
            made.meta.events.register(f"before-call.s3.{operation}", refuse)
        return made

    real = s3_calls._client
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(s3_calls, "_client", client_of)
    open_s3.cache_clear()
    opened = open_s3("s3://bucket/team/a")
    open_s3.cache_clear()
    return opened


def test_a_role_that_may_only_read_opens_the_store_and_reads(client, store, tmp_path, monkeypatch):
    tree = store.put_tree(checkpoint(tmp_path / "in"))
    reader = opened_without(
        monkeypatch, tmp_path, "PutObject", "DeleteObject", "CreateMultipartUpload"
    )
    assert reader.has(tree)
    assert (reader.tree(tree) / "config.json").is_file()
    for write in (reader.ensure_writable, lambda: reader.put_bytes(b"x")):
        with pytest.raises(StoreUnfitError):
            write()


def test_a_role_that_deletes_nothing_opens_the_store_and_writes(client, tmp_path, monkeypatch):
    writer = opened_without(monkeypatch, tmp_path, "DeleteObject", "AbortMultipartUpload")
    assert writer.get_bytes(writer.put_bytes(b"x")) == b"x"
    left = client.list_objects_v2(Bucket="bucket", Prefix="team/a/probe/")["Contents"]
    assert left
