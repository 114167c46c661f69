"""Compares what Flyte holds under a version with what would be registered under it.

Flyte compiles a workflow before it stores it: it adds the end nodes, fills in where a binding to an
input comes from, and sorts. Both sides are therefore brought into one form before they are
compared.
"""

from collections.abc import Iterator
from typing import Any

from flytekit.exceptions.user import FlyteEntityNotExistException
from flytekit.models.core.identifier import Identifier, ResourceType
from flytekit.models.launch_plan import LaunchPlan
from flytekit.models.task import TaskSpec
from flytekit.remote import FlyteRemote
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]

Entity = Any  # flytekit's models share no base and have no types

_KINDS = {
    ResourceType.TASK: "task",
    ResourceType.WORKFLOW: "workflow",
    ResourceType.LAUNCH_PLAN: "launch plan",
}
_START = "start-node"
"""The node that a workflow's inputs come from; flytekit leaves its name out."""
_ENDS = {_START, "end-node"}
"""Flyte adds these nodes to a workflow when it compiles it."""
_SAME_AS_NOTHING: tuple[tuple[str, object], ...] = (("nodeId", _START), ("parallelism", 0))
"""Fields with the values that Flyte writes where flytekit leaves the field out."""


def identifier(entity: Entity) -> Identifier:
    """Return an entity's name, kind and version."""
    return entity.id if isinstance(entity, LaunchPlan) else entity.template.id


def kind_of(entity: Entity) -> str:
    """Return ``task``, ``workflow`` or ``launch plan``."""
    return _KINDS[identifier(entity).resource_type]


def changes(entity: Entity, remote: FlyteRemote) -> list[str]:
    """Return where an entity differs from what Flyte holds under its version.

    The list is empty where Flyte holds the same, and where it holds nothing.
    """
    old = _registered(entity, remote)
    return [] if old is None else list(differences(old, _content(entity)))


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
    """Return a workflow without its ends, its nodes sorted."""
    plain = _plain(template)
    nodes = [node for node in plain.get("nodes", []) if node.get("id") not in _ENDS]
    return {**plain, "nodes": sorted(nodes, key=lambda node: str(node["id"]))}


def _plain(model: Entity) -> dict[str, Any]:
    plain: dict[str, Any] = _normal(MessageToDict(model.to_flyte_idl()))
    return plain


def _normal(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value without what is the same as nothing, its sets of node ids sorted."""
    if isinstance(value, dict):
        kept = {key: _sorted(key, _normal(item)) for key, item in value.items()}
        return {
            key: item
            for key, item in kept.items()
            # In a protocol buffer what is empty is the same as nothing.
            if item not in ({}, [], "") and (key, item) not in _SAME_AS_NOTHING
        }
    return [_normal(item) for item in value] if isinstance(value, list) else value


def _sorted(key: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return upstream node ids sorted and without the start; flytekit's own order is by chance."""
    return sorted(set(value) - _ENDS) if key == "upstreamNodeIds" else value
