"""What a step refuses to work with: an error with a stable code beside its message."""

from lineage.artifacts import Artifact


class RefusedError(ValueError):
    """An input or a state that cannot be used.

    ``code`` is stable, for callers and tests; the message says what, why and what to do next, and
    its wording may change.
    """

    def __init__(self, code: str, message: str) -> None:
        """Take the code, in kebab-case, and the message."""
        super().__init__(code, message)
        self.code = code

    def __str__(self) -> str:
        """Return the message alone. Flytekit puts its own message in the place of the arguments."""
        return str(self.args[-1])


def refuse_other_kind(given: Artifact, wanted: str, role: str) -> None:
    """Refuse an artifact of another kind than a step's input takes.

    Raises:
        RefusedError: such as for a reward model where a policy is due.
    """
    if given.kind != wanted:
        raise RefusedError(
            "other-kind",
            f"the input {role} takes an artifact of kind {wanted}, and {given.digest} is a "
            f"{given.kind}: pass the output of a step that makes {wanted}",
        )
