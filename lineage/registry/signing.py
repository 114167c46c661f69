"""Who vouches for a registered version, as people are shown it."""

from dataclasses import dataclass
from typing import Literal

from lineage.registry.names import Names
from lineage.registry.slots import Entry


@dataclass(frozen=True)
class Signature:
    """Who vouches for an entry."""

    entry: str
    """``teacher.math@3``."""
    state: Literal["signed", "adopted", "unsigned"]
    """Signed by its owner; adopted by a maintainer with all older statements; or unsigned."""
    team: str = ""
    why: str = ""
    """What is missing, and what to do about it."""


def signature_of(names: Names, entry: Entry) -> Signature:
    """Return who vouches for an entry that was read: what is read and signed was checked then."""
    subject = f"{entry.name}@{entry.version}"
    trust = names.journal.trust
    if trust is None:
        why = "the store has no trust root; `provost lineage adopt` gives it one"
        return Signature(subject, "unsigned", why=why)
    if names.slots(entry.name, "versions", Entry).is_older(entry.version):
        return Signature(subject, "adopted", why="it was there before the trust root")
    return Signature(subject, "signed", trust.owner_of(entry.name))
