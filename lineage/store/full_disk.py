"""A full disk, called that."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lineage.errors import StoreFullError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""The system's errors of a disk or a quota that is used up."""


@contextmanager
def full_disk_named(where: Path) -> Iterator[None]:
    """Turn the system's "no space" errors into one that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise StoreFullError(
            f"no space left under {where} ({error.strerror}): this write was discarded. Free "
            "space (`provost lineage gc` lists unreachable data), or set PROVOST_STORE to a "
            "larger disk, then run again; finished steps are kept"
        ) from error
