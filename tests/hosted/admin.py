"""Flyte's admin service over its real protocol, as far as registering goes: it keeps what is sent.

Whether a real admin compiles and compares as this one stores is not shown by it; what our side
sends, asks and refuses is.
"""

from concurrent import futures
from contextlib import contextmanager

import grpc
from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import compiler_pb2
from flyteidl.core import workflow_pb2 as core_workflow
from flyteidl.service import admin_pb2_grpc


class Admin(admin_pb2_grpc.AdminServiceServicer):
    """Keeps entities under project, domain, name and version; none is ever replaced."""

    def __init__(self):
        self.kept = {}

    def _keep(self, request, context, answer):
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

    def CreateTask(self, request, context):
        return self._keep(request, context, task_pb2.TaskCreateResponse())

    def CreateWorkflow(self, request, context):
        return self._keep(request, context, workflow_pb2.WorkflowCreateResponse())

    def CreateLaunchPlan(self, request, context):
        return self._keep(request, context, launch_plan_pb2.LaunchPlanCreateResponse())

    def GetTask(self, request, context):
        template = self._find(request, context).spec.template
        compiled = compiler_pb2.CompiledTask(template=template)
        return task_pb2.Task(id=request.id, closure=task_pb2.TaskClosure(compiled_task=compiled))

    def GetWorkflow(self, request, context):
        template = core_workflow.WorkflowTemplate()
        template.CopyFrom(self._find(request, context).spec.template)
        for end in ("start-node", "end-node"):  # the real one adds them when it compiles
            template.nodes.add(id=end)
        primary = compiler_pb2.CompiledWorkflow(template=template)
        closure = compiler_pb2.CompiledWorkflowClosure(primary=primary)
        return workflow_pb2.Workflow(
            id=request.id, closure=workflow_pb2.WorkflowClosure(compiled_workflow=closure)
        )

    def GetLaunchPlan(self, request, context):
        spec = self._find(request, context).spec
        return launch_plan_pb2.LaunchPlan(id=request.id, spec=spec)


@contextmanager
def serving():
    """Serve on a free port; yield the service and its address."""
    admin = Admin()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    admin_pb2_grpc.add_AdminServiceServicer_to_server(admin, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield admin, f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
