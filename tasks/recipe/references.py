"""References to what a recipe registered."""

from lineage.artifacts import Artifact
from lineage.registry.registry import Registry
from tasks.platform.step_runner import StepRunner


def reference_to(runner: StepRunner, name: str, checkpoint: Artifact) -> str:
    """Return the reference to a checkpoint that is registered under a name.

    A digest alone would not do: another recipe may have made the same bits by another record, and
    a reference by digest takes either.
    """
    versions = Registry(runner.store).versions(name)
    (found,) = (entry.version for entry in versions if entry.digest == checkpoint.digest)
    return f"{name}@{found}"
