"""The same two teams on a real S3 server, which evaluates their roles: SeaweedFS, started here.

It knows the prefixes of a role and not its conditions, so what a role may only create is put with
a condition here, as the role would have to.
"""

import json
import os
import tempfile
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lineage.dsse import SigningKey
from lineage.store.s3 import Bucket
from lineage.store.s3_store import S3Store
from lineage.trust.chain import publish
from lineage.trust.root import TrustRoot
from tests.lineage.test_two_teams import TwoTeams, run
from tests.support.policies import read_policy
from tests.support.roles import POLICIES, may
from tests.support.s3_checkpoints import without_conditions
from tests.support.seaweedfs import SeaweedFS, binary
from tests.support.teams import KEYS, MAINTAINER, NAMES, Shared

pytestmark = [
    pytest.mark.slow,
    pytest.mark.engine,
    pytest.mark.skipif(binary() is None, reason="SeaweedFS is not installed"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
BUCKET = "store"


@dataclass(frozen=True)
class Roles:
    """A bucket, and a client for each team with its role's rights in one domain."""

    domain: str
    admin: Any
    clients: dict[str, Any]


def make_roles(url: str) -> Roles:
    """Return the writers of a domain of their own."""
    domain = f"d{uuid.uuid4().hex[:8]}"
    iam = boto3.client("iam", endpoint_url=url)
    clients = {}
    for team in NAMES:
        names = {"STORE_BUCKET": BUCKET, "DOMAIN": domain, "PROJECT": team}
        policy = without_conditions(read_policy(POLICIES / "writer-policy.json", names))
        user = f"{team}-{domain}"
        iam.create_user(UserName=user)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        iam.put_user_policy(UserName=user, PolicyName="role", PolicyDocument=json.dumps(policy))
        clients[team] = (key["AccessKeyId"], key["SecretAccessKey"])
    return Roles(domain, boto3.client("s3"), clients)


class SharedOnS3(Shared):
    """One prefix of a bucket, opened by each team with its own key and its own role."""

    def __init__(self, url: str) -> None:
        self.url, self.roles = url, make_roles(url)
        self.cache = Path(tempfile.mkdtemp(prefix="two-teams-cache-"))
        self.opened: dict[str, S3Store] = {}
        super().__init__(Path("unused"))

    @property
    def uri(self) -> str:
        return f"s3://{BUCKET}/{self.roles.domain}"

    def of(self, team: str, key: SigningKey | None = None) -> S3Store:
        if team not in self.opened:
            self.opened[team] = self.open(team, key or KEYS[team])
        return self.opened[team]

    def open(self, team: str, key: SigningKey) -> S3Store:
        """Open the store as a process of the team does, with the team's credentials."""
        access, secret = self.keys(team)
        ours = {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}
        before = {name: os.environ[name] for name in ours}
        os.environ.update(ours)
        try:
            bucket = Bucket(BUCKET, self.roles.domain)
        finally:
            os.environ.update(before)
        return S3Store(bucket, self.uri, self.cache / team, signing_key=key)

    def keys(self, team: str) -> tuple[str, str]:
        return self.roles.clients[team]

    def client(self, team: str) -> Any:
        access, secret = self.keys(team)
        return boto3.client("s3", aws_access_key_id=access, aws_secret_access_key=secret)

    def publish(self, wanted: TrustRoot) -> TrustRoot:
        store = S3Store(Bucket(BUCKET, self.roles.domain), self.uri, self.cache / "maintainer")
        return publish(store, wanted, MAINTAINER)

    def put_raw(self, team: str, key: str, content: bytes, *, replace: bool) -> None:
        condition = {} if replace and may(team, "overwrite", key) else {"IfNoneMatch": "*"}
        place = f"{self.roles.domain}/{key}"
        try:
            self.client(team).put_object(Bucket=BUCKET, Key=place, Body=content, **condition)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            assert code in {"AccessDenied", "PreconditionFailed"}
            assert code == "PreconditionFailed" or not may(team, "create", key)
        else:
            assert may(team, "create", key) or may(team, "overwrite", key)

    def remove_raw(self, team: str, key: str) -> None:
        with suppress(ClientError):
            self.client(team).delete_object(Bucket=BUCKET, Key=f"{self.roles.domain}/{key}")
            assert may(team, "delete", key)

    def copied(self, folder: Path) -> "SharedOnS3":
        pages = self.roles.admin.get_paginator("list_objects_v2")
        copy = SharedOnS3.__new__(SharedOnS3)
        copy.url, copy.roles, copy.opened = self.url, make_roles(self.url), {}
        copy.cache = folder
        folder.mkdir(parents=True)
        for page in pages.paginate(Bucket=BUCKET, Prefix=f"{self.roles.domain}/"):
            for row in page.get("Contents", []):
                self.roles.admin.copy_object(
                    Bucket=BUCKET,
                    Key=row["Key"].replace(self.roles.domain, copy.roles.domain, 1),
                    CopySource={"Bucket": BUCKET, "Key": row["Key"]},
                )
        return copy


@contextmanager
def on_s3(folder: Path):
    """Start a server and yield the machine whose store is on it."""
    with SeaweedFS(folder) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket=BUCKET)

        class OnS3(TwoTeams):
            def share(self, folder):
                return SharedOnS3(server.url)

        yield OnS3


def test_a_team_changes_nothing_for_another_on_s3(tmp_path):
    with on_s3(tmp_path) as machine:
        run(examples=2, steps=10, machine=machine)
