"""Turns a team's package into Flyte entities, and sends them: with flytekit's own machinery.

Flyte takes an entity's version once. What a version is registered with is compared before anything
is sent, so that a refused registration leaves nothing half done.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from flytekit.configuration import Config, Image, ImageConfig, SerializationSettings
from flytekit.core.context_manager import FlyteEntities
from flytekit.exceptions.base import FlyteException
from flytekit.exceptions.user import FlyteEntityNotExistException
from flytekit.models.core.identifier import Identifier, ResourceType
from flytekit.models.launch_plan import LaunchPlan
from flytekit.models.task import TaskSpec
from flytekit.remote import FlyteRemote
from flytekit.tools.repo import serialize_get_control_plane_entities, serialize_load_only
from flytekit.tools.translator import Options
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]

from images.names import ImageName, bind, placeholder
from workflows.commands.faculty import Place

Entity = Any  # flytekit's models share no base and have no types

_KINDS = {
    ResourceType.TASK: "task",
    ResourceType.WORKFLOW: "workflow",
    ResourceType.LAUNCH_PLAN: "launch plan",
}
_ENDS = {"start-node", "end-node"}
"""Flyte adds them to a workflow when it compiles it."""
_MOST_SHOWN = 20


@dataclass(frozen=True)
class Registration:
    """What is registered, where and under which version."""

    place: Place
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
            Options.default_from(k8s_service_account=self.place.project),
            is_registration=True,
        )
        return found

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
                f"{self.place.project}/{self.domain}: {error} Flyte's configuration is the file in "
                "$FLYTECTL_CONFIG, and the project must be there: docs/add-a-team.md"
            ) from error

    def _settings(self, images: ImageConfig) -> SerializationSettings:
        return SerializationSettings(
            project=self.place.project,
            domain=self.domain,
            version=self.version,
            image_config=images,
        )


def open_remote(place: Place, domain: str) -> FlyteRemote:
    """Return the Flyte that flytekit's own configuration names."""
    return FlyteRemote(Config.auto(), default_project=place.project, default_domain=domain)


def identifier(entity: Entity) -> Identifier:
    """Return an entity's name, kind and version."""
    return entity.id if isinstance(entity, LaunchPlan) else entity.template.id


def kind_of(entity: Entity) -> str:
    """Return ``task``, ``workflow`` or ``launch plan``."""
    return _KINDS[identifier(entity).resource_type]


def differences(old: object, new: object, path: str = "") -> Iterator[str]:
    """Yield, for each place where two JSON values differ, the place and both."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, pair in enumerate(zip(old, new, strict=True)):
            yield from differences(*pair, f"{path}[{number}]")
    elif old != new:
        yield f"{path}: registered {_shown(old)}, now {_shown(new)}"


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)[:100]


def _needed_images() -> set[ImageName]:
    named = {getattr(entity, "container_image", None) for entity in FlyteEntities.entities}
    return {name for name in ImageName if placeholder(name) in named}


def _image_config(bound: Mapping[ImageName, str]) -> ImageConfig:
    images = [Image.look_up_image_info(name.value, bound[name]) for name in bound]
    return ImageConfig(default_image=None, images=images)


def _refuse_foreign(place: Place) -> None:
    """Refuse what an import has brought: Flyte registers all that a package imports."""
    # A launch plan has a name of its own; it belongs to where its workflow is.
    named = {getattr(entity, "workflow", entity).name for entity in FlyteEntities.entities}
    foreign = sorted(name for name in named if not place.owns(name))
    if foreign:
        raise click.ClickException(
            f"{place.package} imports what is not its own, and would register it in "
            f"{place.project}: {', '.join(foreign)}. Teams meet through releases: name a release "
            "instead of importing it"
        )


def _refuse_other_content(
    wanted: Registration, entities: Sequence[Entity], remote: FlyteRemote
) -> None:
    found = []
    for entity in entities:
        old = _registered(entity, remote)
        if old is not None:
            name = f"{kind_of(entity)} {identifier(entity).name}"
            found += [f"{name}: {line}" for line in differences(old, _content(entity))]
    if found:
        shown = "\n  ".join(found[:_MOST_SHOWN])
        more = f"\n  and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
        raise click.ClickException(
            f"{wanted.place.project}/{wanted.domain} has version {wanted.version} already, with "
            f"other content:\n  {shown}{more}\nA version is what it was: commit the change, or go "
            "back to the images and the flavour of the first registration"
        )


def _registered(entity: Entity, remote: FlyteRemote) -> dict[str, Any] | None:
    """Return what Flyte holds under an entity's version; None if it holds nothing."""
    wanted = identifier(entity)
    try:
        if isinstance(entity, TaskSpec):
            return _plain(remote.client.get_task(wanted).closure.compiled_task.template)
        if isinstance(entity, LaunchPlan):
            return _plain(remote.client.get_launch_plan(wanted).spec)
        workflow = remote.client.get_workflow(wanted).closure.compiled_workflow.primary.template
        return _workflow(workflow)
    except FlyteEntityNotExistException:
        return None


def _content(entity: Entity) -> dict[str, Any]:
    if isinstance(entity, LaunchPlan):
        return _plain(entity.spec)
    return _plain(entity.template) if isinstance(entity, TaskSpec) else _workflow(entity.template)


def _workflow(template: Entity) -> dict[str, Any]:
    """Return a workflow as it is written; Flyte adds ends to it and sorts its nodes."""
    plain = _plain(template)
    nodes = [node for node in plain.get("nodes", []) if node.get("id") not in _ENDS]
    return {**plain, "nodes": sorted(nodes, key=lambda node: str(node["id"]))}


def _plain(model: Entity) -> dict[str, Any]:
    plain: dict[str, Any] = _pruned(MessageToDict(model.to_flyte_idl()))
    return plain


def _pruned(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Drop what is empty: in a protocol buffer it is the same as nothing."""
    if isinstance(value, dict):
        kept = {key: _pruned(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in ({}, [], "")}
    return [_pruned(item) for item in value] if isinstance(value, list) else value
