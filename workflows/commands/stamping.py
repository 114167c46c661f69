"""What registration adds to a team's entities: facts that only the registration knows."""

import re

from flytekit.models.common import Labels
from flytekit.models.concurrency import ConcurrencyLimitBehavior, ConcurrencyPolicy
from flytekit.models.launch_plan import LaunchPlan
from flytekit.models.task import TaskSpec

from tasks.pod import IMAGE
from workflows.commands.faculty import PipelinePlace
from workflows.commands.registered import Entity

TEAM_LABEL = "provost.project"
VERSION_LABEL = "provost.version"
_LONGEST_LABEL = 63


def labels(place: PipelinePlace, version: str) -> Labels:
    """Return the labels of a package's launch plans; each execution of them has these too.

    Flyte filters lists of executions by labels.
    """
    # Kubernetes takes letters, digits, "-", "_" and "." in at most 63 characters.
    text = re.sub(r"[^A-Za-z0-9._-]", "-", version)[:_LONGEST_LABEL].strip("-_.")
    return Labels({TEAM_LABEL: place.project, VERSION_LABEL: text})


def stamp(entity: Entity, place: PipelinePlace) -> None:
    """Tell a task's container its image, and let a team's climb run once at a time."""
    if isinstance(entity, TaskSpec):
        container = entity.template.container
        if container is not None:
            container.env[IMAGE] = container.image
    elif isinstance(entity, LaunchPlan) and place.is_team:
        # A second climb at the same time would train the same on the same GPUs.
        entity.spec._concurrency_policy = ConcurrencyPolicy(
            max_concurrency=1, behavior=ConcurrencyLimitBehavior.SKIP
        )
