"""Does this S3 keep its promises? Several kinds of it ignore conditions that they accept.

A registry whose versions rest on ``If-None-Match: *`` loses releases on a server that lets two
writers win. So the conditions are tried, with real races, before the store is used.
"""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from lineage.errors import StoreUnfitError
from lineage.s3_answers import Part

_WRITERS = 8
_ROUNDS = 3


class Objects(Protocol):
    """What is tried: see lineage.s3.Bucket."""

    def create(self, key: str, data: bytes, claim: str) -> bool:
        """Create once."""

    def get(self, key: str) -> bytes | None:
        """Read."""

    def delete(self, key: str) -> None:
        """Delete."""

    def begin(self, key: str) -> str:
        """Begin an upload in parts."""

    def send_part(self, key: str, upload: str, number: int, data: bytes) -> Part:
        """Send a part."""

    def complete(self, key: str, upload: str, parts: list[Part]) -> bool:
        """Complete once."""

    def abort(self, key: str, upload: str) -> None:
        """Give up."""


def probe(objects: Objects, where: str) -> None:
    """Raise StoreUnfitError unless creation and completion are atomic and exclusive."""
    for _ in range(_ROUNDS):
        _race(objects, where)
    _completion(objects, where)


def _race(objects: Objects, where: str) -> None:
    """Let eight writers create one object at once; one must win, and its bytes must stand."""
    key = f"probe/{uuid.uuid4().hex}"
    bodies = {f"{number}-{uuid.uuid4().hex}": b"writer %d" % number for number in range(_WRITERS)}
    try:
        with ThreadPoolExecutor(_WRITERS) as pool:
            wins = list(pool.map(lambda row: objects.create(key, row[1], row[0]), bodies.items()))
        stands = objects.get(key)
        winners = [body for body, won in zip(bodies.values(), wins, strict=True) if won]
        if winners != [stands]:
            raise _unfit(
                where, f"of {_WRITERS} writers of one new object {len(winners)} were told they won"
            )
        if objects.create(key, b"late", uuid.uuid4().hex) or objects.get(key) != stands:
            raise _unfit(where, "it let a later writer replace an object")
    finally:
        objects.delete(key)


def _completion(objects: Objects, where: str) -> None:
    """Complete an upload in parts onto an object that exists; it must be refused."""
    key = f"probe/{uuid.uuid4().hex}"
    upload = ""
    try:
        objects.create(key, b"first", uuid.uuid4().hex)
        upload = objects.begin(key)
        part = objects.send_part(key, upload, 1, b"second")
        if objects.complete(key, upload, [part]) or objects.get(key) != b"first":
            raise _unfit(where, "it completed an upload in parts over an object that existed")
    finally:
        if upload:
            objects.abort(key, upload)
        objects.delete(key)


def _unfit(where: str, what: str) -> StoreUnfitError:
    return StoreUnfitError(
        f"{where} cannot be a store: {what}, although 'If-None-Match: *' forbids it. Two teams "
        "that release at once would lose a version. Use AWS S3, MinIO, or another server that "
        "keeps conditional writes; a folder works too"
    )
