"""Names of slots."""

import re
from pathlib import PurePosixPath

from lineage.errors import LineageError

_KEY = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9._=-]*(/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*")


_LEAVINGS = {"Thumbs.db", "desktop.ini"}
"""Names without a leading dot or a final ``~`` that file managers write beside what they show."""


def is_key(key: str) -> bool:
    """Say whether ``key`` can be a slot's: an editor's or a file manager's leavings cannot."""
    return _KEY.fullmatch(key) is not None and PurePosixPath(key).name not in _LEAVINGS


def check_key(key: str) -> str:
    """Return ``key``, or refuse one that is no plain relative path."""
    if not _KEY.fullmatch(key):
        raise LineageError(
            f"key {key!r} is refused: segments of letters, digits, '.', '_', '=' and '-' (no dot "
            "first), joined by '/'"
        )
    return key
