"""An artifact under the name by which people, scores and responses refer to it."""

from collections.abc import Sequence

from pydantic import Field

from lineage.artifacts import Artifact
from lineage.frozen import Frozen
from tasks.contracts.refusal import RefusedError


class NamedArtifact(Frozen):
    """One of several artifacts that a step takes in one role."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]*$")
    """Unique name in its role, such as ``round-2`` or ``math@3``."""
    artifact: Artifact


def named(artifacts: Sequence[Artifact], names: Sequence[str], what: str) -> list[NamedArtifact]:
    """Return artifacts with their names, which a task takes as two lists.

    Raises:
        RefusedError: ``unnamed`` for another number of names.
    """
    if len(artifacts) != len(names):
        raise RefusedError(
            "unnamed",
            f"{len(artifacts)} {what} are given with {len(names)} names: give each its name, in "
            "the same order",
        )
    return [
        NamedArtifact(name=name, artifact=each) for name, each in zip(names, artifacts, strict=True)
    ]


def refuse_repeated_names(names: Sequence[str], what: str) -> None:
    """Refuse two inputs of one name: responses and scores are told apart by it.

    Raises:
        RefusedError: ``repeated-name``.
    """
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise RefusedError(
            "repeated-name",
            f"the {what} have the names {repeated} twice, and responses are told apart by them: "
            "give each its own name",
        )
