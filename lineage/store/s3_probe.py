"""Probe of an S3 server: some of them accept conditional writes, but ignore the condition.

The registry claims versions by ``If-None-Match: *``. It would lose releases on a server that lets
two writers win. So the conditions are tested, with real races, before the store is used.
"""

import threading
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol

from lineage.errors import StoreUnfitError, UnreachableError
from lineage.store.s3 import ForbiddenError
from lineage.store.s3_answers import UploadedPart

_WRITERS = 8
_ROUNDS = 3
KNOCK_SECONDS = 15.0
"""How long a server that answers nothing is waited for, names, credentials and all."""


class Objects(Protocol):
    """What is tried: see lineage.store.s3.Bucket."""

    def create(self, key: str, data: bytes, claim: str) -> bool:
        """Create once."""

    def get(self, key: str) -> bytes | None:
        """Read."""

    def answers(self) -> None:
        """Raise UnreachableError if the server does not answer, after one try."""

    def delete(self, key: str) -> None:
        """Delete."""

    def begin(self, key: str) -> str:
        """Begin an upload in parts."""

    def send_part(self, key: str, upload: str, number: int, data: bytes) -> UploadedPart:
        """Send a part."""

    def complete(self, key: str, upload: str, parts: list[UploadedPart]) -> bool:
        """Complete once."""

    def abort(self, key: str, upload: str) -> None:
        """Give up."""


def probe(objects: Objects, where: str, knock_seconds: float = KNOCK_SECONDS) -> None:
    """Raise StoreUnfitError unless creation and completion are atomic and exclusive.

    Raises UnreachableError if the server does not answer within ``knock_seconds``.
    """
    _knock(objects, where, knock_seconds)
    for _ in range(_ROUNDS):
        _race(objects, where)
    _completion(objects, where)


def _knock(objects: Objects, where: str, seconds: float) -> None:
    """Try once before the probe: its retries would take minutes to notice a dead server."""
    heard: Future[None] = Future()

    def ask() -> None:
        try:
            objects.answers()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            heard.set_exception(error)
        else:
            heard.set_result(None)

    threading.Thread(target=ask, daemon=True).start()  # the process's end does not wait for it
    try:
        heard.result(seconds)
    except TimeoutError as error:
        raise UnreachableError(
            f"{where} did not answer within {seconds:g} s: check AWS_ENDPOINT_URL, the network and "
            "the credentials' source, and run again"
        ) from error


def _race(objects: Objects, where: str) -> None:
    """Let eight writers create one object at once; one must win, and its bytes must stay."""
    key = f"probe/{uuid.uuid4().hex}"
    bodies = {f"{number}-{uuid.uuid4().hex}": b"writer %d" % number for number in range(_WRITERS)}
    try:
        with ThreadPoolExecutor(_WRITERS) as pool:
            wins = list(pool.map(lambda row: objects.create(key, row[1], row[0]), bodies.items()))
        stands = objects.get(key)
        winners = [body for body, won in zip(bodies.values(), wins, strict=True) if won]
        if winners != [stands]:
            raise _unfit(
                where,
                f"{len(winners)} of {_WRITERS} writers of one new object got a success response",
            )
        if objects.create(key, b"late", uuid.uuid4().hex) or objects.get(key) != stands:
            raise _unfit(where, "it let a later writer replace an object")
    finally:
        with suppress(ForbiddenError):  # a team may not: the bucket's lifecycle removes it
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
        with suppress(ForbiddenError):
            if upload:
                objects.abort(key, upload)
        with suppress(ForbiddenError):
            objects.delete(key)


def _unfit(where: str, what: str) -> StoreUnfitError:
    return StoreUnfitError(
        f"{where} cannot be a store: {what}, although 'If-None-Match: *' forbids it. If two "
        "teams released at once, one version would be lost. Use AWS S3, SeaweedFS, another "
        "server with working conditional writes, or a folder"
    )
