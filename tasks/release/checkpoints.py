"""Resolves and registers a base or a fork point by its name. Loads no model, and so no torch."""

from lineage.artifacts import Artifact
from lineage.errors import LineageError, UnknownReferenceError
from lineage.registry.registry import Registry
from lineage.rules.evidence import Breach, Evidence, refuse_broken
from tasks.contracts.planned import start_of
from tasks.contracts.publication import CANDIDATE, RELEASED, publish
from tasks.contracts.refusal import RefusedError
from tasks.platform.step_runner import StepRunner

PUBLISHED = ("teacher.", "student.", "audit.")
"""Names with versions that are manifests and not checkpoints."""
_FORK_POINT = "fork-point"
"""Name under which the foundation registers it."""


def resolve_checkpoint(runner: StepRunner, reference: str) -> Artifact:
    """Return the checkpoint that a reference such as ``fork-point@released`` names.

    For a published student, such as ``student.general@2``, it is the student's: later rounds start
    there.

    Raises:
        LineageError: for a reference that names nothing, or no checkpoint.
        RefusedError: where the store has no fork point yet.
    """
    try:
        return start_of(runner, reference)
    except UnknownReferenceError as error:
        name = reference.partition("@")[0]
        if name != _FORK_POINT or name in Registry(runner.store).names():
            raise
        raise RefusedError(
            "no-fork-point",
            f"{runner.store.uri} has no fork point, from which teachers and student start: run "
            "`provost run foundation` first",
        ) from error


def register_checkpoint(
    runner: StepRunner, name: str, checkpoint: Artifact, owner: str
) -> Artifact:
    """Register a base or a fork point under its name, point ``released`` at it, and return it.

    Raises:
        LineageError: for a name of a release, student or audit, which have their own steps.
        BrokenRuleError: for an artifact that no record made, or that is not a checkpoint.
    """
    if name.startswith(PUBLISHED):
        raise LineageError(
            f"{name} is not a name for a base or a fork point: release a teacher with "
            "release_teacher, and publish a student with publish_student, which check the records"
        )
    kinds = {row.output_kind for row in Evidence(runner.store).attested(checkpoint)}
    if kinds != {"checkpoint"}:
        message = (
            f"{checkpoint.digest} is, according to its record, {sorted(kinds) or 'nothing'}, not "
            "a checkpoint"
        )
        refuse_broken(name, [Breach("parts", message)])
    publish(runner, name, checkpoint, owner=owner, aliases=(CANDIDATE, RELEASED))
    return checkpoint
