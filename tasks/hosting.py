"""The chosen flavour, as the arguments that Flyte's ``@task`` takes."""

from datetime import timedelta

from flytekit import Resources
from flytekit.extras.accelerators import GPUAccelerator

from images.names import placeholder
from tasks.resources import FLAVOUR, Flavour, Stage, StageResources, chosen_flavour


def hosting(stage: Stage) -> dict[str, object]:
    """Return the arguments for ``@task`` of a stage under $PROVOST_FLAVOUR; none without one.

    A stage of several ranks becomes an Elastic task, which imports torch where it is declared and
    needs the extra ``cluster``. The container imports the task again, so that the flavour goes
    into its environment.

    Raises:
        ResourceError: if the flavour does not exist or is not valid.
    """
    flavour = chosen_flavour()
    return _arguments(flavour, flavour.stages[stage]) if flavour else {}


def _arguments(flavour: Flavour, wanted: StageResources) -> dict[str, object]:
    size = Resources(
        cpu=str(wanted.cpu),
        mem=wanted.memory,
        gpu=str(wanted.gpus) if wanted.gpus else None,
        ephemeral_storage=wanted.disk,
    )
    arguments: dict[str, object] = {
        "container_image": placeholder(wanted.image),
        "environment": {FLAVOUR: flavour.name},
        # A pod that gets what it asks for and no more is the last that a full node evicts.
        "requests": size,
        "limits": size,
        "interruptible": wanted.spot,
        "retries": wanted.retries,
        "timeout": timedelta(minutes=wanted.time_limit_minutes),
        "pod_template_name": wanted.pod_template,
    }
    if wanted.shared_memory:
        arguments["shared_memory"] = wanted.shared_memory
    if wanted.gpus:
        arguments["accelerator"] = GPUAccelerator(flavour.gpu)
    if wanted.num_ranks > 1:
        arguments["task_config"] = _elastic(wanted)
    return arguments


def _elastic(wanted: StageResources) -> object:
    """Return the launcher of several ranks: torch's own, which no CPU flavour has to have."""
    from flytekitplugins.kfpytorch import Elastic  # noqa: PLC0415

    # No restarts inside a pod: what may pass is retried as a new attempt, from the last state.
    # Shared memory is the task's own argument; the plugin would add a pod template of its own.
    return Elastic(
        nnodes=wanted.nodes,
        nproc_per_node=wanted.gpus,
        max_restarts=0,
        increase_shared_mem=False,
    )
