"""Statements from before there was a trust root: unsigned, in a layout of their own, read only.

Where the store has no trust root they count, with a warning. Where it has one they count if a
maintainer has adopted them: the trust root then names an inventory of their bytes.
"""

import logging
from functools import cached_property

from lineage.digest import digest_bytes
from lineage.errors import CorruptError
from lineage.trust.journal import Journal, read_inventory

_LOG = logging.getLogger(__name__)
PREFIXES = ("attestations", "records", "registry", "signatures")
_WARNED: set[str] = set()


class Older:
    """The unsigned statements of a store that count."""

    def __init__(self, journal: Journal) -> None:
        """Read from the store of ``journal``."""
        self._journal = journal

    @cached_property
    def _adopted(self) -> dict[str, str] | None:
        """Return key to digest of what was adopted; None where all counts."""
        trust = self._journal.trust
        if trust is None:
            return None
        return read_inventory(self._journal.store, trust.adopted) if trust.adopted else {}

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix that count, sorted."""
        if self._adopted is None:
            found = self._journal.store.keys(prefix)
            if found:
                self._warn()
            return found
        return sorted(key for key in self._adopted if key.startswith(f"{prefix}/"))

    def read(self, key: str) -> bytes | None:
        """Return what a slot holds, or None where it holds nothing that counts.

        Raises:
            CorruptError: for bytes that are not those that were adopted.
        """
        if self._adopted is None:
            return self._journal.store.read_key(key)
        if key not in self._adopted:
            return None
        data = self._journal.store.read_key(key) or b""
        if digest_bytes(data) != self._adopted[key]:
            raise CorruptError(
                f"the document at {key!r} has changed since it was adopted with the trust root: "
                "restore it from a copy of the store"
            )
        return data

    def _warn(self) -> None:
        uri = self._journal.store.uri
        if uri not in _WARNED:
            _WARNED.add(uri)
            _LOG.warning(
                "%s has no trust root: its content is unsigned, so anyone with write access may "
                "have made it. Run `provost lineage adopt` once to sign it",
                uri,
            )
