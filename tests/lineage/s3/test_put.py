"""A put on S3 is acknowledged only where the server has the right bytes."""

import os
import time
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from lineage.digest import digest_bytes
from lineage.errors import CorruptError, LineageError
from lineage.operations.gc import collect, find_garbage
from lineage.records.record import Attestation, Derivation, Records
from lineage.store import s3_blobs
from lineage.store.s3_blobs import RecentNames, blob_key
from lineage.store.store import read_tree
from lineage.trust.author import own_key
from lineage.trust.chain import own_root, publish
from tests.support.making import TIME, checkpoint, write_record
from tests.support.s3_checkpoints import PART, large, reopened

DAY = 24 * 3600


def squat(client, digest, body):
    client.put_object(Bucket="bucket", Key=f"team/a/{blob_key(digest)}", Body=body)


@pytest.mark.parametrize("other", [b"", b"short", b"wEights"])
def test_other_bytes_under_a_digest_are_replaced_by_putting_it(store, client, other):
    squat(client, digest_bytes(b"weights"), other)
    digest = store.put_bytes(b"weights")
    assert store.get_bytes(digest) == b"weights"


@pytest.mark.medium
def test_other_bytes_of_a_large_file_are_replaced_too(store, client, tmp_path):
    folder = large(tmp_path / "in")
    tree = store.put_tree(folder)
    weights = next(f for f in read_tree(store, tree).files if f.path == "model.safetensors")
    for wrong in (b"short", os.urandom(weights.size)):
        squat(client, weights.digest, wrong)
        fresh = reopened(store)
        fresh.put_tree(folder)
        assert fresh.check(weights.digest) == weights.size


@pytest.mark.parametrize("then", ["NoSuchUpload", "ConditionalRequestConflict"])
def test_a_conflict_at_the_end_of_an_upload_is_followed_by_a_new_upload(store, client, then):
    """S3 refuses the same upload for good, by either code."""
    ended, complete = [], store._bucket._calls.client.complete_multipart_upload

    def conflicting(**request):
        ended.append(request["UploadId"])
        if request["UploadId"] == ended[0]:
            code = "ConditionalRequestConflict" if len(ended) == 1 else then
            raise ClientError({"Error": {"Code": code}}, "CompleteMultipartUpload")
        return complete(**request)

    store._bucket._calls.client.complete_multipart_upload = conflicting
    path = store._partial.parent / "weights"
    path.write_bytes(os.urandom(3 * PART))
    digest = store.put_file(path)
    assert store.check(digest) == 3 * PART
    assert len(set(ended)) == 2
    assert "Uploads" not in client.list_multipart_uploads(Bucket="bucket")


def test_a_large_file_sent_in_other_parts_is_read_back_and_taken(store, client, tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(3 * PART))
    digest = store.put_file(path)
    before = client.head_object(Bucket="bucket", Key=f"team/a/{blob_key(digest)}")["ETag"]
    fresh = reopened(store, part_bytes=PART + (1 << 20))
    assert fresh.put_file(path) == digest
    after = client.head_object(Bucket="bucket", Key=f"team/a/{blob_key(digest)}")["ETag"]
    assert before == after  # it was right, and is not sent again


def deny_replacing(store):
    """Let the server refuse what a team's role may not do: to put without a condition."""

    def refuse(params, **_):
        if "If-None-Match" in params["headers"]:
            return None
        answer = {"HTTPStatusCode": 403, "HTTPHeaders": {}}
        error = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": answer}
        return SimpleNamespace(status_code=403), error

    for operation in ("PutObject", "CompleteMultipartUpload"):
        store._bucket._calls.client.meta.events.register(
            f"before-call.s3.{operation}", refuse, operation
        )


@pytest.mark.parametrize("wrong", [b"wEights", b"short", b""])
def test_a_blob_of_which_another_put_wrong_bytes_first_is_kept_beside_them(store, client, wrong):
    deny_replacing(store)
    digest = digest_bytes(b"weights")
    squat(client, digest, wrong)
    assert store.put_bytes(b"weights") == digest
    fresh = reopened(store)
    assert fresh.get_bytes(digest) == b"weights"
    assert fresh.check(digest) == len(b"weights")
    assert fresh.has(digest)
    fresh.put_bytes(b"weights")
    assert len(copies(client, digest)) == 1


@pytest.mark.parametrize("wrong", ["short", "of the same size"])
def test_a_tree_is_read_from_copies_where_wrong_bytes_came_first(store, client, tmp_path, wrong):
    deny_replacing(store)
    folder = large(tmp_path / "in")
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        body = b"short" if wrong == "short" else os.urandom(path.stat().st_size)
        squat(client, digest_bytes(path.read_bytes()), body)
    tree = store.put_tree(folder)
    out = reopened(store).tree(tree)
    for path in files:
        assert (out / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_a_wrong_copy_is_not_believed_and_hides_no_right_one(store, client):
    deny_replacing(store)
    digest = digest_bytes(b"weights")
    squat(client, digest, b"wEights")
    client.put_object(Bucket="bucket", Key=f"team/a/{blob_key(digest)}-0", Body=b"weIghts")
    with pytest.raises(CorruptError):
        store.get_bytes(digest)
    with pytest.raises(CorruptError):
        store.check(digest)
    store.put_bytes(b"weights")
    assert reopened(store).get_bytes(digest) == b"weights"
    assert reopened(store).check(digest) == len(b"weights")


def test_a_copy_counts_where_the_wrong_object_was_deleted_and_goes_with_its_blob(
    store, client, server_date
):
    deny_replacing(store)
    digest = digest_bytes(b"weights")
    squat(client, digest, b"wEights")
    store.put_bytes(b"weights")
    client.delete_object(Bucket="bucket", Key=f"team/a/{blob_key(digest)}")
    assert reopened(store).get_bytes(digest) == b"weights"
    squat(client, digest, b"wEights")
    for operation in ("PutObject", "CompleteMultipartUpload"):  # a maintainer collects
        store._bucket._calls.client.meta.events.unregister(
            f"before-call.s3.{operation}", unique_id=operation
        )
    server_date.days = 2
    collect(reopened(store))
    assert copies(client, digest) == []


def test_a_squatted_derivation_does_not_stop_its_owner(store, client):
    publish(store, own_root(own_key()), own_key())
    deny_replacing(store)
    derivation, said = derived(store, b"next")
    squat(client, derivation.digest(), b"{}")
    records = Records(store)
    assert records.finished(derivation.digest()) is None
    record = records.write(derivation, said)
    assert Records(reopened(store)).finished(record).output == said.output


def test_a_damaged_derivation_of_finished_work_is_reported(store, client):
    record, _ = write_record(store, b"done")
    squat(client, record, b"{}")
    with pytest.raises(CorruptError):
        Records(reopened(store)).finished(record)


def derived(store, content):
    derivation = Derivation(
        project=Records(store).journal.author.project,
        kind="rl", inputs=(), source=digest_bytes(b"code"), settings={"next": 1}, seed=7,
    )  # fmt: skip
    said = Attestation(
        derivation=derivation.digest(),
        output=store.put_bytes(content),
        output_kind="checkpoint",
        finished=TIME,
    )
    return derivation, said


def copies(client, digest):
    found = client.list_objects_v2(Bucket="bucket", Prefix=f"team/a/{blob_key(digest)}-")
    return [row["Key"] for row in found.get("Contents", [])]


def test_a_put_is_believed_for_a_while_only(store, client, monkeypatch):
    now = [0.0]
    store._blobs._put = RecentNames(s3_blobs._PUT_SECONDS, lambda: now[0])
    digest = store.put_bytes(b"weights")
    client.delete_object(Bucket="bucket", Key=f"team/a/{blob_key(digest)}")
    now[0] += 301
    assert store.put_bytes(b"weights") == digest
    assert store.get_bytes(digest) == b"weights"


@pytest.mark.parametrize("damage", ["gone", "cut short", "changed"])
def test_a_tree_is_there_only_with_all_its_blobs(store, client, tmp_path, damage):
    tree = store.put_tree(checkpoint(tmp_path / "in"))
    weights = next(f for f in read_tree(store, tree).files if f.path == "model.safetensors")
    assert reopened(store).has(tree)
    key = f"team/a/{blob_key(weights.digest)}"
    if damage == "gone":
        client.delete_object(Bucket="bucket", Key=key)
    elif damage == "cut short":
        client.put_object(Bucket="bucket", Key=key, Body=b"")
    else:
        client.put_object(
            Bucket="bucket", Key=key, Body=bytes(weights.size), ChecksumAlgorithm="SHA256"
        )
    assert not reopened(store).has(tree)
    assert reopened(store).put_tree(checkpoint(tmp_path / "again")) == tree
    assert reopened(store).has(tree)


def test_a_damaged_unreachable_blob_is_collected_and_reported(store, client, server_date):
    _, kept = write_record(store, b"kept")
    lost = digest_bytes(b"lost")
    squat(client, lost, b"LOST")
    assert find_garbage(store).damaged == (lost,)
    assert find_garbage(store).remove == ()
    server_date.days = 2
    done = collect(store)
    assert done.damaged == (lost,)
    assert lost in {blob.digest for blob in done.remove}
    assert store.has(kept)


def test_a_damaged_document_that_a_record_reaches_stops_the_collection(store, client, server_date):
    write_record(store, b"kept")
    server_date.days = 2
    squat(client, digest_bytes(b"kept"), b"KEPT")
    with pytest.raises(LineageError):
        collect(store)


def test_a_clock_of_this_machine_that_is_wrong_makes_nothing_old(
    store, client, server_date, monkeypatch
):
    digest = store.put_bytes(b"lost")
    real = time.time
    for days in (2, -2):
        monkeypatch.setattr("lineage.store.s3.time.time", lambda days=days: real() + days * DAY)
        assert [abs(blob.age_seconds) < 60 for blob in store.blob_states()] == [True]
        assert find_garbage(store).remove == ()
        assert not store.remove(digest, DAY)
    server_date.days = 2
    assert store.remove(digest, DAY)
