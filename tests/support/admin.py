"""Flyte's admin service over its real protocol: it keeps, compiles and refuses as the real one.

What a real admin (v1.16.8) was seen to do: ``compiled`` and ``Limits`` say it.
"""

from concurrent import futures
from contextlib import contextmanager

import grpc
from flyteidl.admin import launch_plan_pb2, project_pb2, task_pb2, workflow_pb2
from flyteidl.core import compiler_pb2, tasks_pb2
from flyteidl.core import workflow_pb2 as core_workflow
from flyteidl.service import admin_pb2_grpc, signal_pb2_grpc
from google.protobuf.message import Message
from kubernetes.utils.quantity import parse_quantity

from tests.support.executions_service import Executions, Signals

RESOURCES = tasks_pb2.Resources.ResourceName
UNSET = {"CPU": "2", "MEMORY": "1Gi", "GPU": "1"}
"""The limits of a Flyte whose values set none."""
PROJECTS = ("foundation", "consolidation", "gate", "audit", "recipes", "teacher-math")
CONFIGURED = {
    "cpu": "CPU",
    "memory": "MEMORY",
    "gpu": "GPU",
    "ephemeralStorage": "EPHEMERAL_STORAGE",
}
"""What the keys of ``task_resources.limits`` limit; Flyte ignores any other key."""


def limits_of(values):
    """Return the limits of a values file, as Flyte reads them."""
    given = values["configuration"]["inline"].get("task_resources", {}).get("limits", {})
    return {**UNSET, **{CONFIGURED[key]: size for key, size in given.items() if key in CONFIGURED}}


def compiled(template):
    """Return a workflow's template as the real admin stores it."""
    made = core_workflow.WorkflowTemplate()
    made.CopyFrom(template)
    every = [*made.nodes, *([made.failure_node] if made.HasField("failure_node") else [])]
    for node in every:
        for binding in node.inputs:
            _name_the_start(binding.binding)
        upstream = sorted({*node.upstream_node_ids, *_sources(node)})
        node.upstream_node_ids[:] = upstream
        if node.HasField("array_node") and not node.array_node.HasField("parallelism"):
            node.array_node.parallelism = 0
    for end in ("start-node", "end-node"):
        made.nodes.add(id=end)
    return made


def _name_the_start(data):
    """Fill in where a binding to a workflow's input comes from, inside lists and maps too."""
    if data.HasField("promise"):
        data.promise.node_id = data.promise.node_id or "start-node"
    for item in data.collection.bindings if data.HasField("collection") else ():
        _name_the_start(item)
    for item in data.map.bindings.values() if data.HasField("map") else ():
        _name_the_start(item)


def _sources(node):
    """Return the nodes that a node takes its inputs from, without the start."""
    found, waiting = set(), [binding.binding for binding in node.inputs]
    while waiting:
        data = waiting.pop()
        if data.HasField("promise"):
            found.add(data.promise.node_id)
        waiting += data.collection.bindings if data.HasField("collection") else ()
        waiting += data.map.bindings.values() if data.HasField("map") else ()
    return found - {"start-node"}


class Admin(Executions, admin_pb2_grpc.AdminServiceServicer):
    """Keeps entities under project, domain, name and version; none is ever replaced."""

    def __init__(self, limits=None, projects=PROJECTS):
        super().__init__()
        self.kept, self.limits, self.projects = {}, limits or {}, set(projects)

    def _keep(self, request: Message, context, answer):
        if request.id.project not in self.projects:
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"failed to validate that project [{request.id.project}] and domain "
                f"[{request.id.domain}] are registered, err: [missing entity of type Project]",
            )
        key = request.id.SerializeToString(deterministic=True)
        if key in self.kept:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "the same is registered")
        self.kept[key] = request
        return answer

    def _find(self, request, context):
        key = request.id.SerializeToString(deterministic=True)
        if key not in self.kept:
            context.abort(grpc.StatusCode.NOT_FOUND, "nothing is registered")
        return self.kept[key]

    def _refuse_above_limits(self, template, context):
        for entry in template.container.resources.limits:
            name = RESOURCES.Name(entry.name)
            limit = self.limits.get(name)
            if limit is not None and parse_quantity(entry.value) > parse_quantity(limit):
                context.abort(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"Requested {name} limit [{entry.value}] is greater than current limit set in "
                    f"the platform configuration [{limit}]. Please contact Flyte Admins to change "
                    "these limits or consult the configuration",
                )

    def CreateTask(self, request, context):
        self._refuse_above_limits(request.spec.template, context)
        return self._keep(request, context, task_pb2.TaskCreateResponse())

    def CreateWorkflow(self, request, context):
        return self._keep(request, context, workflow_pb2.WorkflowCreateResponse())

    def CreateLaunchPlan(self, request, context):
        return self._keep(request, context, launch_plan_pb2.LaunchPlanCreateResponse())

    def RegisterProject(self, request, context):
        if request.project.id in self.projects:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "the project is there")
        self.projects.add(request.project.id)
        return project_pb2.ProjectRegisterResponse()

    def GetTask(self, request, context):
        template = self._find(request, context).spec.template
        closure = task_pb2.TaskClosure(compiled_task=compiler_pb2.CompiledTask(template=template))
        return task_pb2.Task(id=request.id, closure=closure)

    def GetWorkflow(self, request, context):
        template = compiled(self._find(request, context).spec.template)
        primary = compiler_pb2.CompiledWorkflow(template=template)
        closure = compiler_pb2.CompiledWorkflowClosure(primary=primary)
        return workflow_pb2.Workflow(
            id=request.id, closure=workflow_pb2.WorkflowClosure(compiled_workflow=closure)
        )

    def GetLaunchPlan(self, request, context):
        spec = self._find(request, context).spec
        return launch_plan_pb2.LaunchPlan(id=request.id, spec=spec)


@contextmanager
def serving(**settings):
    """Serve on a free port; yield the service and its address."""
    admin = Admin(**settings)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    admin_pb2_grpc.add_AdminServiceServicer_to_server(admin, server)
    signal_pb2_grpc.add_SignalServiceServicer_to_server(Signals(admin), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield admin, f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
