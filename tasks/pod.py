"""What Flyte tells a task's pod about itself, in its environment: the one place that reads it."""

import os

from lineage.flyte_run import FlyteRun

EXECUTION = "FLYTE_INTERNAL_EXECUTION_ID"
"""Set in the pod of every task."""
IMAGE = "FLYTE_INTERNAL_IMAGE"
"""Set by ``provost register``: the reference, with its digest, that the task is bound to."""


def attempt() -> int:
    """Return the number of this attempt at a task; the first is 0."""
    return int(os.environ.get("FLYTE_ATTEMPT_NUMBER") or 0)


def image() -> str:
    """Return the image that runs, as REPOSITORY@sha256:...; "" outside a container of Flyte's."""
    return os.environ.get(IMAGE, "")


def task() -> str:
    """Return the name of the task that runs; "" outside Flyte."""
    return os.environ.get("FLYTE_INTERNAL_TASK_NAME", "")


def flyte_run() -> FlyteRun | None:
    """Return the execution that runs this pod; None on a person's machine."""
    name = os.environ.get(EXECUTION, "")
    if not name:
        return None
    return FlyteRun(
        project=os.environ.get("FLYTE_INTERNAL_EXECUTION_PROJECT", ""),
        domain=os.environ.get("FLYTE_INTERNAL_EXECUTION_DOMAIN", ""),
        execution=name,
        workflow=os.environ.get("FLYTE_INTERNAL_EXECUTION_WORKFLOW", ""),
        version=os.environ.get("FLYTE_INTERNAL_TASK_VERSION", ""),
        url=os.environ.get("FLYTE_EXECUTION_URL", ""),
    )
