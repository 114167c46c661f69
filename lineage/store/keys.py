"""Names of slots."""

import re
from pathlib import PurePosixPath

from lineage.errors import LineageError

_KEY = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9._=-]*(/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*")


_SEGMENT_LETTERS = 255
"""What file systems take."""
_KEY_LETTERS = 800
"""S3 takes 1024 bytes, the store's own prefix included."""
_LEAVINGS = {"Thumbs.db", "desktop.ini"}
"""Names without a leading dot or a final ``~`` that file managers write beside what they show."""


def is_key(key: str) -> bool:
    """Say whether ``key`` can be a slot's: an editor's or a file manager's leavings cannot."""
    return _KEY.fullmatch(key) is not None and PurePosixPath(key).name not in _LEAVINGS


def check_key(key: str) -> str:
    """Return ``key``; refuse anything but a plain relative path."""
    if not _KEY.fullmatch(key) or not _has_sane_size(key):
        raise LineageError(
            f"key {key[:200]!r} is refused: segments of up to {_SEGMENT_LETTERS} letters, digits, "
            f"'.', '_', '=' and '-' (no dot first), joined by '/', up to {_KEY_LETTERS} in all"
        )
    return key


def _has_sane_size(key: str) -> bool:
    longest = max(len(part) for part in key.split("/"))
    return len(key) <= _KEY_LETTERS and longest <= _SEGMENT_LETTERS
