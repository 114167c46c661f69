"""Errors of the lineage by name. Every message says what, why and what to do next.

A reason, an owner or a name in a message is text that another team wrote. Raw, it could clear the
screen and print a verdict of its own, so ``plain`` and ``paragraph`` remove what steers a terminal.
"""

_DOCTOR = "`provost doctor` checks this machine and the store"


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


class CodedError(Exception):
    """An error with a stable code beside its message.

    ``code`` is for callers and tests; the message says what, why and what to do next, and its
    wording may change.
    """

    def __init__(self, code: str, message: str) -> None:
        """Take the code, in kebab-case, and the message."""
        super().__init__(code, message)
        self.code = code

    def __str__(self) -> str:
        """Return the message alone. Flytekit puts its own message in the place of the arguments."""
        return str(self.args[-1])


class LineageError(ValueError):
    """Anything that the lineage refuses or cannot find.

    ``code`` is stable where a type has several causes; the wording of messages may change.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        """Keep the message, in which names and reasons that others wrote are made plain."""
        super().__init__(paragraph(message))
        self.code = code


class BadDigestError(LineageError):
    """A string that should be a digest and is not one."""


class MissingBlobError(LineageError):
    """A digest that names nothing in the store."""


class NoRecordError(MissingBlobError):
    """An artifact that no record made, although its making is to be read."""

    def __init__(self) -> None:
        """Say what to do about it."""
        super().__init__(
            "no record says how this artifact was made: it was put into the store as it was. "
            "Import it (`provost checkpoint import`, `provost teacher import`), which records it"
        )


class CorruptError(LineageError):
    """Bytes in the store that do not match their digest."""


class DamagedError(CorruptError):
    """Several documents of the store that do not match their digests."""

    def __init__(self, message: str, digests: frozenset[str]) -> None:
        """Keep the message and the digests of the documents."""
        super().__init__(message)
        self.digests = digests


class RefusedFileError(LineageError):
    """A file or folder that the store refuses."""


class PlatformError(LineageError):
    """A failure of the machine, the network or the storage."""

    def __str__(self) -> str:
        """Return the message with a pointer to ``provost doctor`` behind it.

        Once: flytekit makes another error of the same type from the text of the first.
        """
        text = super().__str__()
        return text if _DOCTOR in text else f"{text} ({_DOCTOR})"


class StoreFullError(PlatformError):
    """A full disk or quota under the store."""


class StoreUnfitError(LineageError):
    """A place that cannot keep a store's promises."""

    def __init__(self, message: str, *, code: str = "") -> None:
        """Put a pointer to ``provost doctor`` before the message."""
        super().__init__(f"{_DOCTOR}. {message}", code=code)


class UnreachableError(PlatformError):
    """A store that did not answer or is too busy; the same call may succeed later."""


class RecordRefusedError(LineageError):
    """A record that contradicts itself or the store."""


class UnknownReferenceError(LineageError):
    """A reference (``math@released``) that names nothing registered."""


class RecalledError(LineageError):
    """A reference to a version that was recalled."""


class NotWaivableError(LineageError):
    """A finding that no waiver can accept."""


class LicenseConflictError(LineageError):
    """A model that the licenses of its parts forbid to publish."""


class BadKeyError(LineageError):
    """A text that is not the private key it should be."""


class NoTrustRootError(LineageError):
    """A store without a trust root, where this process may not make one."""


class TrustRootError(LineageError):
    """A trust root, or a change to it, that is not valid."""


class NotEntitledError(LineageError):
    """A statement signed with a key that has no authority over its subject."""


class ConflictingOutputsError(LineageError):
    """Two different outputs of one derivation, neither of which was declared valid."""


class AmbiguousReferenceError(LineageError):
    """A short reference that several registered names answer to."""
