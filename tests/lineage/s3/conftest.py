"""A bucket of moto, which simulates S3 in this process, and a store in it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import boto3
import botocore.loaders
import botocore.session
import pytest

from lineage.store.s3 import Bucket
from lineage.store.s3_store import S3Store
from lineage.trust.author import own_key
from lineage.trust.chain import own_root, publish
from tests.support.s3_checkpoints import PART


@pytest.fixture(scope="session")
def loader():
    """Botocore's loader, which remembers the descriptions of services: reading them takes long."""
    return botocore.loaders.create_loader()


@pytest.fixture
def client(monkeypatch, loader):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(botocore.session, "create_loader", lambda *_: loader)
    from moto import mock_aws  # takes a second, and not every worker needs it

    with mock_aws():
        boto3.setup_default_session()
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        yield client


@pytest.fixture
def store(client, tmp_path):
    store = S3Store(
        Bucket("bucket", "team/a"), "s3://bucket/team/a", tmp_path / "c", part_bytes=PART
    )
    publish(store, own_root(own_key()), own_key())
    return store


@dataclass
class ServerDate:
    """The server's clock."""

    days: float = 0.0
    """How far it is ahead of what it has kept so far."""

    def stamp(self, parsed, **_) -> None:
        now = datetime.now(UTC) + timedelta(days=self.days)
        parsed["ResponseMetadata"]["HTTPHeaders"]["date"] = format_datetime(now, usegmt=True)


@pytest.fixture
def server_date(store):
    date = ServerDate()
    store._bucket._calls.client.meta.events.register("after-call.s3", date.stamp)
    return date
