"""Slots: the names that they may have, and the small JSON documents in them.

Each document is checked against a digest when it is read. A record's slot is named by the digest of
its bytes. Other slots (a version, an alias move) have a name of their own, so their document
carries the digest of its body: a flipped byte is found.
"""

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, JsonValue, ValidationError

from lineage.digest import canonical_json, digest_bytes, digest_json, parse_json
from lineage.errors import CorruptError, LineageError

_SEGMENT = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9._=-]*")
_KEY = re.compile(f"{_SEGMENT.pattern}(/{_SEGMENT.pattern})*")


_SEGMENT_LETTERS = 255
"""The longest file name that file systems accept, in bytes."""
_KEY_LETTERS = 800
"""S3 takes 1024 bytes, the store's own prefix included."""
_SETTLED_SECONDS = 2.0
_LEAVINGS = {"Thumbs.db", "desktop.ini"}
"""Files of file managers with neither a leading dot nor a final ``~``."""


def is_key(key: str) -> bool:
    """Return whether ``key`` can be a slot's key; files of editors and file managers cannot."""
    return _KEY.fullmatch(key) is not None and key.rpartition("/")[2] not in _LEAVINGS


@lru_cache(maxsize=4096)  # thousands of slots have the same few names
def _is_segment(name: str) -> bool:
    return _SEGMENT.fullmatch(name) is not None and name not in _LEAVINGS


Stamp = list[int | str]
"""What changes with every write to a slot. Of a file: device, inode and size; of an object: tag and
size. The last two are times of a write, in nanoseconds since 1970. A list, as JSON has it."""
Stamps = dict[str, dict[str, Stamp]]
"""Stamps of slots, by path and by the name of the slot."""


def _stamp_of(entry: "os.DirEntry[str]") -> Stamp:
    """Return the stamp of the file that reading a slot opens; [] for a link to nothing."""
    try:
        now = entry.stat()
    except OSError:
        return []
    return [now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns]


def stamps_below(folder: Path, name: str) -> Stamps:
    """Return the stamp of each slot's file below a folder, where its own path is ``name``.

    Each folder is opened once: walking the whole path for each file takes half as long again.
    """
    found: Stamps = {}
    todo = [(str(folder), name)]
    while todo:
        path, within = todo.pop()
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        slots: dict[str, Stamp] = {}
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    if not _is_segment(entry.name):
                        continue
                    if not entry.is_dir():
                        slots[entry.name] = _stamp_of(entry)
                    elif not entry.is_symlink():
                        todo.append((f"{path}/{entry.name}", f"{within}/{entry.name}"))
        finally:
            os.close(descriptor)
        if slots:
            found[within] = slots
    return found


def is_settled(stamp: Stamp, now: float) -> bool:
    """Say whether another write from ``now`` on, in seconds since 1970, gives another stamp.

    A disk with coarse times may give the same times to two writes within a moment.
    """
    times = [time for time in stamp[-2:] if isinstance(time, int)]
    return bool(times) and max(times) / 1e9 < now - _SETTLED_SECONDS


def names_below(folder: Path | str, name: str) -> Iterator[str]:
    """Yield the paths of the files below a folder, where its own path is ``name``, or "".

    A store has hundreds of thousands of slots: ``os.walk``, and paths as objects, take five times
    as long. Folders behind links, and what cannot be listed, are left out.
    """
    before = f"{name}/" if name else ""
    try:
        entries = os.scandir(folder)
    except OSError:
        return
    with entries:
        for entry in entries:
            if not entry.is_dir():
                yield before + entry.name
            elif not entry.is_symlink():
                yield from names_below(entry.path, before + entry.name)


def check_key(key: str) -> str:
    """Return ``key``; refuse anything but a plain relative path."""
    if not _KEY.fullmatch(key) or not _has_sane_size(key):
        raise LineageError(
            f"key {key[:200]!r} is refused: segments of up to {_SEGMENT_LETTERS} letters, digits, "
            f"'.', '_', '=' and '-' (no dot first), joined by '/', up to {_KEY_LETTERS} in all",
            code="unsafe-key",
        )
    return key


def _has_sane_size(key: str) -> bool:
    longest = max(len(part) for part in key.split("/"))
    return len(key) <= _KEY_LETTERS and longest <= _SEGMENT_LETTERS


Model = TypeVar("Model", bound=BaseModel)
_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")


def digests_in(data: bytes) -> set[str]:
    """Return the digests that a document names."""
    return {match.decode("ascii") for match in _DIGEST.findall(data)}


def seal(body: JsonValue) -> bytes:
    """Return the bytes of a document that carries the digest of its body."""
    return canonical_json({"body": body, "digest": digest_json(body)})


def unseal(data: bytes, key: str, model: type[Model]) -> Model:
    """Return the body of a sealed document; raise CorruptError naming ``key`` if it changed."""
    try:
        document: Any = parse_json(data)
        body = document["body"]
        whole = document["digest"] == digest_json(body) and seal(body) == data
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise _corrupt(key, str(error)) from error
    if not whole:
        raise _corrupt(key, "its digest does not match its body")
    return _validated(body, key, model)


def parse_named(data: bytes, digest: str, key: str, model: type[Model]) -> Model:
    """Return the document in a slot that is named by the digest of its bytes."""
    if digest_bytes(data) != digest:
        raise _corrupt(key, f"its bytes no longer have the digest {digest}")
    try:
        body = parse_json(data)
    except (ValueError, RecursionError) as error:
        raise _corrupt(key, str(error)) from error
    return _validated(body, key, model)


def to_json(model: BaseModel) -> JsonValue:
    """Return a model as plain JSON values."""
    value: JsonValue = model.model_dump(mode="json")
    return value


def _validated(body: JsonValue, key: str, model: type[Model]) -> Model:
    known = getattr(model, "known", model.model_validate)  # of a statement: newer fields left out
    try:
        return cast("Model", known(body))
    except ValidationError as error:
        raise _corrupt(key, f"it is not a valid {model.__name__}: {error}") from error


def _corrupt(key: str, why: str) -> CorruptError:
    return CorruptError(
        f"the document at {key!r} is damaged or was written by something else: {why}. Restore it "
        "from a copy of the store; `provost lineage verify` lists what depends on it"
    )
