"""Large things to put into S3, and stores that know nothing of what another has put."""

import os
import struct
import uuid
from pathlib import Path

from lineage.store.s3_store import S3Store
from tests.support.making import checkpoint

PART = 5 << 20  # S3 takes no smaller part but the last


def large(folder: Path, size: int = 2 * PART + 1000) -> Path:
    """A checkpoint whose weights need three parts."""
    checkpoint(folder)
    header = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (size, size)
    body = struct.pack("<Q", len(header)) + header + os.urandom(size)
    (folder / "model.safetensors").write_bytes(body)
    return folder


def reopened(store: S3Store, part_bytes: int = PART) -> S3Store:
    """The same bucket as another process finds it."""
    cache = store._partial.parent.parent / uuid.uuid4().hex
    return S3Store(store._bucket, store.uri, cache, part_bytes=part_bytes)


def without_conditions(policy):
    """The policy, its prefixes alone: SeaweedFS lacks its conditions and two of its actions."""
    statements = []
    for statement in policy["Statement"]:
        actions = statement["Action"]
        actions = [actions] if isinstance(actions, str) else actions
        known = [action for action in actions if "MultipartUpload" not in action]
        if known:
            kept = {key: value for key, value in statement.items() if key != "Condition"}
            statements.append(kept | {"Action": known})
    return policy | {"Statement": statements}
