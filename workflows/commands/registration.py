"""Turns a team's package into Flyte entities, and sends them: with flytekit's own machinery.

Flyte takes an entity's version once. What a version is registered with is compared before anything
is sent, so that a refused registration leaves nothing half done.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
from flytekit.configuration import Config, Image, ImageConfig, SerializationSettings
from flytekit.core.context_manager import FlyteEntities
from flytekit.core.workflow import WorkflowBase
from flytekit.exceptions.base import FlyteException
from flytekit.exceptions.user import FlyteEntityAlreadyExistsException
from flytekit.models.common import Labels
from flytekit.models.concurrency import ConcurrencyLimitBehavior, ConcurrencyPolicy
from flytekit.models.launch_plan import LaunchPlan
from flytekit.models.project import Project
from flytekit.models.task import TaskSpec
from flytekit.remote import FlyteRemote
from flytekit.tools.repo import serialize_get_control_plane_entities, serialize_load_only
from flytekit.tools.translator import Options

from images.names import ImageName, bind, placeholder
from tasks.platform.provenance import IMAGE
from workflows.commands.faculty import PipelinePlace
from workflows.commands.flyte import Entity, changes, identifier, kind_of, sentence

TEAM_LABEL = "provost.project"
VERSION_LABEL = "provost.version"
_LONGEST_LABEL = 63
_MOST_SHOWN = 20


@dataclass(frozen=True)
class Registration:
    """What is registered, where and under which version."""

    place: PipelinePlace
    domain: str
    version: str
    images: Mapping[str, str]
    """Image names and the references they are bound to."""

    def entities(self, root: Path) -> list[Entity]:
        """Load the package that lies under ``root`` and return its entities, tasks first.

        Raises:
            click.ClickException: if the package brings a workflow that is not its own.
            ImageError: if an image that one of its tasks runs in is not bound by digest.
        """
        settings = self._settings(ImageConfig())
        serialize_load_only([self.place.package], settings, str(root))
        _refuse_foreign(self.place)
        bound = bind(self.images, _needed_images())
        found: list[Entity] = serialize_get_control_plane_entities(
            self._settings(_image_config(bound)),
            str(root),
            self._options(),
            is_registration=True,
        )
        for entity in found:
            stamp(entity, self.place)
        inner = _inner_workflows()
        return [one for one in found if not _is_plan_of(one, inner)]

    def send(self, entities: Sequence[Entity], remote: FlyteRemote) -> None:
        """Register the entities, or none of them.

        Raises:
            click.ClickException: if this version holds other content already, or Flyte refuses.
        """
        try:
            _refuse_other_content(self, entities, remote)
            for entity in entities:
                remote.raw_register(
                    entity,
                    self._settings(ImageConfig()),
                    version=self.version,
                    create_default_launchplan=False,
                )
        except FlyteException as error:
            raise click.ClickException(
                f"{remote.config.platform.endpoint} did not register {self.place.package} in "
                f"{self.place.project}/{self.domain}: {sentence(error)}"
            ) from error

    def _options(self) -> Options:
        made = Options.default_from(k8s_service_account=self.place.project)
        return replace(made, labels=labels(self.place, self.version))

    def _settings(self, images: ImageConfig) -> SerializationSettings:
        return SerializationSettings(
            project=self.place.project,
            domain=self.domain,
            version=self.version,
            image_config=images,
        )


def open_remote(place: PipelinePlace, domain: str) -> FlyteRemote:
    """Return the Flyte that flytekit's own configuration names."""
    return FlyteRemote(Config.auto(), default_project=place.project, default_domain=domain)


def create_project(place: PipelinePlace, remote: FlyteRemote) -> None:
    """Make a package's Flyte project, unless it is there; Flyte then makes its namespaces.

    Raises:
        click.ClickException: if Flyte refuses.
    """
    try:
        remote.client.register_project(
            Project(id=place.project, name=place.project, description=place.package)
        )
    except FlyteEntityAlreadyExistsException:
        return
    except FlyteException as error:
        raise click.ClickException(
            f"{remote.config.platform.endpoint} did not make the project {place.project}: "
            f"{sentence(error)}"
        ) from error


def _inner_workflows() -> set[str]:
    """Return the workflows that are parts of others here; they are never launched alone."""
    flows = [one for one in FlyteEntities.entities if isinstance(one, WorkflowBase)]
    parts = [node.flyte_entity for flow in flows for node in flow.nodes]
    return {part.name for part in parts if isinstance(part, WorkflowBase)}


def _is_plan_of(entity: Entity, workflows: set[str]) -> bool:
    return isinstance(entity, LaunchPlan) and entity.spec.workflow_id.name in workflows


def _needed_images() -> set[ImageName]:
    named = {getattr(entity, "container_image", None) for entity in FlyteEntities.entities}
    return {name for name in ImageName if placeholder(name) in named}


def _image_config(bound: Mapping[ImageName, str]) -> ImageConfig:
    images = [Image.look_up_image_info(name.value, bound[name]) for name in bound]
    return ImageConfig(default_image=None, images=images)


def _refuse_foreign(place: PipelinePlace) -> None:
    """Refuse what an import has brought: Flyte registers all that a package imports."""
    # A launch plan has a name of its own; it belongs to where its workflow is.
    named = {getattr(entity, "workflow", entity).name for entity in FlyteEntities.entities}
    foreign = sorted(name for name in named if not place.owns(name))
    if foreign:
        raise click.ClickException(
            f"{place.package} imports entities of others, which would be registered in "
            f"{place.project}: {', '.join(foreign)}. Use a release of the other team instead of "
            "importing its code"
        )


def _refuse_other_content(
    wanted: Registration, entities: Sequence[Entity], remote: FlyteRemote
) -> None:
    found = []
    for entity in entities:
        name = f"{kind_of(entity)} {identifier(entity).name}"
        found += [f"{name}: {line}" for line in changes(entity, remote)]
    if found:
        shown = "\n  ".join(found[:_MOST_SHOWN])
        more = f"\n  and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
        raise click.ClickException(
            f"{wanted.place.project}/{wanted.domain} has version {wanted.version} already, with "
            f"other content:\n  {shown}{more}\nA version is what it was: commit the change, or go "
            "back to the images and the flavor of the first registration"
        )


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
