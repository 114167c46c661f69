"""Flyte's side of a command: executions, registered entities, and its errors in one sentence.

Executions are shown beside the records of the store; what Flyte holds under a version is compared
with what would be registered under it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import grpc  # type: ignore[import-untyped]
from flytekit.configuration.file import get_config_file
from flytekit.configuration.internal import Platform
from flytekit.exceptions.base import FlyteException
from flytekit.exceptions.system import FlyteSystemUnavailableException
from flytekit.exceptions.user import FlyteAuthenticationException, FlyteEntityNotExistException
from flytekit.models.admin.common import Sort
from flytekit.models.core.execution import WorkflowExecutionPhase as Phase
from flytekit.models.core.identifier import Identifier, ResourceType, WorkflowExecutionIdentifier
from flytekit.models.execution import Execution as FlyteExecution
from flytekit.models.launch_plan import LaunchPlan
from flytekit.models.task import TaskSpec
from flytekit.remote import FlyteRemote
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]

from tasks.platform.console_errors import Told, from_console
from workflows.commands.documents import FAILED, Run

ENDED = {*FAILED, "SUCCEEDED"}
"""Phases of an execution in which nothing more happens."""
REJECTED = "Rejected"
"""The error type of an execution with a rejected plan."""
_REJECTED = "ReceivedRejectSignal"
"""Flyte's code for it."""
_PAGE = 100
_NEWEST_FIRST = Sort("created_at", Sort.Direction.DESCENDING)


def executions(
    remote: FlyteRemote, project: str, domain: str, most: int, recorded: Mapping[str, str]
) -> Iterator[Run]:
    """Yield a project's executions in a domain, newest first.

    Args:
        remote: The Flyte cluster.
        project: A Flyte project, such as consolidation or teacher-math.
        domain: Such as production.
        most: How many are listed at most.
        recorded: Failure records by the full names of their executions.
    """
    token, listed = "", 0
    while listed < most:
        found, token = remote.client.list_executions_paginated(
            project, domain, min(_PAGE, most - listed), token, sort_by=_NEWEST_FIRST
        )
        for each in found:
            yield _run(_whole(remote, each), recorded)
        listed += len(found)
        if not token:
            return


def _whole(remote: FlyteRemote, listed: FlyteExecution) -> FlyteExecution:
    """Return an execution with the whole of its error; Flyte's lists cut it at 100 characters."""
    if not listed.closure.error:
        return listed
    return remote.client.get_execution(listed.id)


def _run(found: FlyteExecution, recorded: Mapping[str, str]) -> Run:
    identity, closure = found.id, found.closure
    said = _reason(found)
    created = closure.created_at
    return Run(
        project=identity.project,
        domain=identity.domain,
        execution=identity.name,
        workflow=found.spec.launch_plan.name,
        version=found.spec.launch_plan.version,
        phase=Phase.enum_to_string(closure.phase),
        created=created.isoformat() if created else "",
        launched_by=found.spec.metadata.principal or "",
        reason=said.sentence,
        error_type=said.name if said.sentence else "",
        record=recorded.get(f"{identity.project}/{identity.domain}/{identity.name}", ""),
    )


def _reason(found: FlyteExecution) -> Told:
    closure = found.closure
    if Phase.enum_to_string(closure.phase) not in FAILED:
        return Told("", "")
    if closure.error and closure.error.code == _REJECTED:
        return Told(REJECTED, "its plan was rejected")
    if closure.abort_metadata is not None and closure.abort_metadata.cause:
        by = closure.abort_metadata.principal
        return Told("Aborted", closure.abort_metadata.cause + (f" ({by})" if by else ""))
    return from_console(closure.error.message if closure.error else "")


def principals(remote: FlyteRemote, names: Iterable[str]) -> dict[str, str]:
    """Return who launched each execution, by its full name, as far as Flyte knows.

    Flyte knows no person without a login, and does not know an execution that it has forgotten.

    Raises:
        FlyteException: if Flyte does not answer.
    """
    found = {}
    for name in names:
        identity = WorkflowExecutionIdentifier(*name.split("/"))
        try:
            found[name] = remote.client.get_execution(identity).spec.metadata.principal or ""
        except FlyteEntityNotExistException:
            continue
    return {name: principal for name, principal in found.items() if principal}


def is_configured() -> bool:
    """Return whether flytekit's configuration names a Flyte; its default does not count."""
    return bool(Platform.URL.read(get_config_file(None)))


def phase_of(remote: FlyteRemote, identity: WorkflowExecutionIdentifier) -> str:
    """Return how far an execution is, as Flyte calls it."""
    return str(Phase.enum_to_string(remote.client.get_execution(identity).closure.phase))


_UNSIGNED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
_NO_PROJECT = ("failed to validate that project", "is not active")
_OVER_LIMIT = "set in the platform configuration"

_ADVICE_NO_PROJECT = (
    "the project has to be there first: register with --create-project, or see "
    "docs/guides/add-a-team.md"
)
_ADVICE_LIMIT = (
    "choose a smaller --flavor, or ask the platform to raise task_resources.limits in the values "
    "of its Flyte"
)
_ADVICE_ADDRESS = (
    "check that it is up and that this machine reaches it; the address is `endpoint` in the file "
    "that $FLYTECTL_CONFIG names"
)
_ADVICE_LOGIN = (
    "sign in again: what `admin` of the file that $FLYTECTL_CONFIG names says of the login was "
    "refused"
)


def details(error: BaseException) -> str:
    """Return what the cluster itself said, on one line; else the error's own text."""
    call = _call(error)
    said = str((call.details() if call else "") or error or type(error).__name__)
    return " ".join(said.split())


def advice(error: FlyteException) -> str:
    """Return the next step after a refusal; "" if the cluster's own message suffices."""
    said, call = details(error), _call(error)
    if isinstance(error, FlyteAuthenticationException) or (call and call.code() in _UNSIGNED):
        return _ADVICE_LOGIN
    if isinstance(error, FlyteSystemUnavailableException):
        return _ADVICE_ADDRESS
    if any(words in said for words in _NO_PROJECT):
        return _ADVICE_NO_PROJECT
    return _ADVICE_LIMIT if _OVER_LIMIT in said else ""


def sentence(error: FlyteException) -> str:
    """Return what the cluster said, and what to do next."""
    said, next_step = details(error).rstrip("."), advice(error)
    return f"{said}. {next_step[0].upper()}{next_step[1:]}" if next_step else f"{said}."


def _call(error: BaseException) -> grpc.Call | None:
    """Return the call that failed, which flytekit's exceptions were raised from."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, grpc.RpcError) and isinstance(seen, grpc.Call):
            return seen
        seen = seen.__cause__
    return None


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
