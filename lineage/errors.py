"""Errors of the lineage by name. Every message says what, why and what to do next.

A reason, an owner or a name in a message is text that another team wrote. Raw, it could clear the
screen and print a verdict of its own, so ``plain`` and ``paragraph`` remove what steers a terminal.
"""


def plain(text: str) -> str:
    """Return text as one line: white space as blanks, without control and invisible characters."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else " " if letter.isspace() else "" for letter in text
    )


def paragraph(text: str) -> str:
    """Return text of several lines, each plain; lines after the first are indented.

    Quoted text can therefore never begin a line and pass for our own output. Idempotent.
    """
    if text.isprintable():
        return text
    first, *others = text.split("\n")
    return "\n".join([plain(first), *(_indented(plain(line.expandtabs(4))) for line in others)])


def _indented(line: str) -> str:
    return line if not line.strip() or line.startswith("  ") else f"  {line}"


class LineageError(ValueError):
    """Anything that the lineage refuses or cannot find."""

    def __init__(self, message: str) -> None:
        """Keep the message, in which names and reasons that others wrote are made plain."""
        super().__init__(paragraph(message))


class BadDigestError(LineageError):
    """A string that should be a digest is not one."""


class MissingBlobError(LineageError):
    """The store does not hold what a digest names."""


class CorruptError(LineageError):
    """Bytes in the store do not match their digest."""


class DamagedError(CorruptError):
    """Several documents of the store do not match their digests."""

    def __init__(self, message: str, digests: frozenset[str]) -> None:
        """Keep the message and the digests of the documents."""
        super().__init__(message)
        self.digests = digests


class RefusedFileError(LineageError):
    """A file or folder that the store does not take in."""


class PlatformError(LineageError):
    """What the machine, the network or the storage does not offer."""

    def __str__(self) -> str:
        """Return the message with a pointer to ``provost doctor`` behind it."""
        return f"{super().__str__()} (`provost doctor` checks this machine and the store)"


class StoreFullError(PlatformError):
    """The disk or quota under the store is used up."""


class StoreUnfitError(LineageError):
    """The place given for a store cannot keep the store's promises."""

    def __init__(self, message: str) -> None:
        """Put a pointer to ``provost doctor`` before the message."""
        super().__init__(f"`provost doctor` checks this machine and the store. {message}")


class UnreachableError(PlatformError):
    """The store did not answer, or is too busy: the same call may succeed in a while."""


class RecordRefusedError(LineageError):
    """A record that contradicts itself or the store."""


class UnknownReferenceError(LineageError):
    """A reference (``math@released``) that names nothing registered."""


class RecalledError(LineageError):
    """A reference to a version that was recalled."""


class NotWaivableError(LineageError):
    """A finding that no waiver can accept."""


class LicenseConflictError(LineageError):
    """A model that the licenses of its parts forbid to pass on."""


class BadKeyError(LineageError):
    """A text that is not the private key it should be."""


class NoTrustRootError(LineageError):
    """The store has no trust root yet, and this process may not make one."""


class TrustRootError(LineageError):
    """A trust root, or a change to it, that does not hold."""


class NotEntitledError(LineageError):
    """A statement signed with a key that has no authority over its subject."""


class ConflictingOutputsError(LineageError):
    """One derivation gave two different outputs, and neither was declared the valid one."""


class AmbiguousReferenceError(LineageError):
    """A short reference that several registered names answer to."""
