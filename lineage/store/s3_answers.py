"""What S3 says of objects and parts, and how it writes checksums and dates.

``RecentNames`` keeps names for a while, so that the same lookup is not repeated.
"""

import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any

CLAIM = "provost-claim"
"""Metadata key: who created an object."""


@dataclass(frozen=True)
class ObjectState:
    """The state of an object as S3 reports it."""

    key: str
    size: int
    age_seconds: float
    """Age in seconds, by the server's clock."""
    claim: str = ""
    """Id of its creator, from its metadata."""
    checksum: str = ""
    """SHA-256 in base64, over the parts' checksums if it has parts; "" if the server keeps none."""
    parts: int = 0
    """Number of parts of the upload; 0 for an upload in one piece."""
    etag: str = ""
    """Tag of the content, by the server: another one after every write of other bytes."""
    written_ns: int = 0
    """Time of the last write by the server's clock, in nanoseconds since 1970."""


@dataclass(frozen=True)
class UploadedPart:
    """One part of an upload that S3 has."""

    number: int
    size: int
    etag: str
    checksum: str
    """SHA-256 in base64, "" where the server keeps none."""


def state_of(key: str, size: int, answer: Mapping[str, Any], now: float) -> ObjectState:
    """Return the state that ``answer`` gives of an object, at ``now`` by the server's clock."""
    written = answer["LastModified"].timestamp()
    claim = answer.get("Metadata", {}).get(CLAIM, "")
    checked, _, parts = answer.get("ChecksumSHA256", "").partition("-")
    # some servers leave the count of parts to the tag
    tag = answer.get("ETag", "").strip('"')
    parts = parts or tag.partition("-")[2]
    count = int(parts) if parts.isdigit() else 0
    return ObjectState(key, size, now - written, claim, checked, count, tag, round(1e9 * written))


def date_of(answer: Mapping[str, Any]) -> float | None:
    """Return when the server gave an answer, in seconds since 1970; None where it does not say."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


def checksum(data: bytes) -> str:
    """Return the SHA-256 of ``data`` as S3 writes it, in base64."""
    return b64encode(sha256(data).digest()).decode("ascii")


def _uptime() -> float:
    """Return seconds that no set clock moves and that go on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class RecentNames:
    """Names that were added within the last few seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float] = _uptime) -> None:
        """Forget each name ``seconds`` after it was added."""
        self._seconds = seconds
        self._clock = clock
        self._added: dict[str, float] = {}

    def add(self, name: str) -> None:
        """Remember ``name`` from now on."""
        self._added[name] = self._clock()

    def discard(self, name: str) -> None:
        """Forget ``name``."""
        self._added.pop(name, None)

    def __contains__(self, name: str) -> bool:
        """Say whether ``name`` was added lately."""
        added = self._added.get(name)
        return added is not None and self._clock() - added < self._seconds
