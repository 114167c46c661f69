"""What a student's making did not exercise, going by its records alone."""

from collections.abc import Iterable

from lineage.record import Attestation

NO_GPU = "GPU: by their records, no step of this student used one."
NO_CLUSTER = "Flyte cluster: by their records, all steps ran in flytekit's local execution."


def not_run(attestations: Iterable[Attestation]) -> tuple[str, ...]:
    """Return a sentence for each thing that no attestation shows."""
    known = list(attestations)
    on_gpu = any(attestation.notes.get("gpu") for attestation in known)
    on_cluster = any(attestation.flyte or attestation.execution for attestation in known)
    return (*([] if on_gpu else [NO_GPU]), *([] if on_cluster else [NO_CLUSTER]))
