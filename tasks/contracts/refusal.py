"""What a step refuses to work with: an error with a stable code beside its message."""

from lineage.artifacts import Artifact
from lineage.errors import CodedError


class RefusedError(CodedError, ValueError):
    """An input or a state that cannot be used."""


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
