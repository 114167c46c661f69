"""The same promises of a real S3 server: SeaweedFS, started here."""

import json
import os
import time

import boto3
import pytest
from botocore.exceptions import ClientError

from lineage.digest import digest_bytes
from lineage.errors import CorruptError, StoreUnfitError, UnreachableError
from lineage.operations.gc import find_garbage
from lineage.store.probes import probe_server
from lineage.store.s3 import Bucket
from lineage.store.s3_blobs import blob_key
from lineage.store.s3_store import S3Store, open_s3
from lineage.store.store import read_tree
from lineage.trust.author import own_key
from lineage.trust.chain import own_root, publish
from tests.support.making import checkpoint, write_record
from tests.support.policies import Request, allowed, read_policy
from tests.support.role_table import PLACES, POLICIES
from tests.support.s3_checkpoints import PART, large, reopened, without_conditions
from tests.support.seaweedfs import ADMIN, SeaweedFS, binary

pytestmark = [
    pytest.mark.slow,
    pytest.mark.engine,
    pytest.mark.skipif(binary() is None, reason="SeaweedFS is not installed"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
BUCKET = "store"
READER = ("reader", "reader-secret")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    readers = {"reader": (*READER, ("Read", "List"))}
    with SeaweedFS(tmp_path_factory.mktemp("seaweedfs"), identities=readers) as server:
        admin = boto3.client(
            "s3",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id=ADMIN[0],
            aws_secret_access_key=ADMIN[1],
        )
        admin.create_bucket(Bucket=BUCKET)  # one: each takes several of the server's volumes
        yield server


@pytest.fixture
def client(server, monkeypatch, tmp_path, request):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path / "home"))
    open_s3.cache_clear()
    return boto3.client("s3")


@pytest.fixture
def prefix(client):
    return f"p{time.time_ns()}"


@pytest.fixture
def store(prefix, tmp_path):
    return S3Store(
        Bucket(BUCKET, prefix), f"s3://{BUCKET}/{prefix}", tmp_path / "c", part_bytes=PART
    )


def test_the_server_passes_the_probe(store):
    probe_server(store._bucket, "SeaweedFS")


@pytest.mark.parametrize("parts", [1, 3])
def test_other_bytes_under_a_digest_are_replaced(store, client, prefix, tmp_path, parts):
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(parts * PART - 1000))
    digest = digest_bytes(path.read_bytes())
    for wrong in (b"short", bytes(path.stat().st_size)):
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{blob_key(digest)}", Body=wrong)
        assert reopened(store).put_file(path) == digest
        assert reopened(store).check(digest) == path.stat().st_size


def test_parts_of_other_bytes_differ_in_their_checksum(store, client, prefix, tmp_path):
    folder = large(tmp_path / "in")
    tree = store.put_tree(folder)
    weights = next(f for f in read_tree(store, tree).files if f.path == "model.safetensors")
    state = store._bucket.head(blob_key(weights.digest))
    assert state.parts == 3
    assert state.checksum
    client.put_object(
        Bucket=BUCKET,
        Key=f"{prefix}/{blob_key(weights.digest)}",
        Body=os.urandom(weights.size),
        ChecksumAlgorithm="SHA256",
    )
    assert not reopened(store).has(tree)
    assert reopened(store).put_tree(folder) == tree
    assert reopened(store).has(tree)
    assert (reopened(store).tree(tree) / "model.safetensors").stat().st_size == weights.size


def test_a_damaged_unreachable_blob_is_reported(store, client, prefix):
    publish(store, own_root(own_key()), own_key())
    _, kept = write_record(store, b"kept")
    lost = digest_bytes(b"lost")
    client.put_object(Bucket=BUCKET, Key=f"{prefix}/{blob_key(lost)}", Body=b"LOST")
    found = find_garbage(store)
    assert found.damaged == (lost,)
    assert reopened(store).has(kept)
    with pytest.raises(CorruptError):
        reopened(store).get_bytes(lost)


def test_a_reader_opens_the_store_and_writes_nothing(store, server, prefix, tmp_path, monkeypatch):
    tree = store.put_tree(checkpoint(tmp_path / "in"))
    for variable, value in server.environment(READER).items():
        monkeypatch.setenv(variable, value)
    reader = open_s3(store.uri)
    assert reader.has(tree)
    assert (reader.tree(tree) / "config.json").is_file()
    with pytest.raises(StoreUnfitError):
        reader.put_bytes(b"x")


def test_ages_are_the_server_s(store, monkeypatch):
    store.put_bytes(b"x")
    real = time.time
    monkeypatch.setattr("lineage.store.s3.time.time", lambda: real() - 2 * 24 * 3600)
    assert [abs(blob.age_seconds) < 60 for blob in store.blob_states()] == [True]


def test_a_server_that_hangs_is_reported_within_20_seconds(store, server, client):
    server.pause()
    started = time.monotonic()
    try:
        with pytest.raises(StoreUnfitError) as caught:
            open_s3(f"s3://{BUCKET}/elsewhere")
    finally:
        server.resume()
    assert isinstance(caught.value.__cause__, UnreachableError)
    assert time.monotonic() - started < 20


def answers(call, place):
    """Whether the server does what is asked for; False where the role may not."""
    try:
        call(place)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":
            raise
        return False
    return True


@pytest.mark.parametrize("file", ["writer-policy.json", "maintainer-policy.json"])
def test_the_server_draws_the_same_lines_as_the_evaluator(server, client, file):
    names = {"STORE_BUCKET": BUCKET, "DOMAIN": "production", "PROJECT": "teacher-math"}
    policy = without_conditions(read_policy(POLICIES / file, names))
    user = f"user-{time.time_ns()}"
    iam = boto3.client("iam", endpoint_url=server.url)
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    iam.put_user_policy(UserName=user, PolicyName="role", PolicyDocument=json.dumps(policy))
    role = boto3.client(
        "s3", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )
    calls = {
        "s3:PutObject": lambda place: role.put_object(Bucket=BUCKET, Key=place, Body=b"x"),
        "s3:GetObject": lambda place: role.get_object(Bucket=BUCKET, Key=place),
        "s3:DeleteObject": lambda place: role.delete_object(Bucket=BUCKET, Key=place),
    }
    for place in PLACES.values():
        client.put_object(Bucket=BUCKET, Key=place, Body=b"there")
        for action, call in calls.items():
            expected = allowed([policy], Request(action, f"arn:aws:s3:::{BUCKET}/{place}"))
            assert answers(call, place) is expected, (place, action)
