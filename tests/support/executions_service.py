"""Executions, their nodes' outputs and their signals, as a real admin (v1.16.8) answers for them.

A signal does not exist before its node runs; afterwards it stays, with what it was set to, and can
be set again without effect. Lists cut an error at 100 characters; one execution carries it whole. A
page that is full has a token, also where nothing follows. Who launched is in the metadata, ""
without a login; who aborted is in the closure.
"""

from dataclasses import dataclass, field

import grpc
from flyteidl.admin import execution_pb2, node_execution_pb2, signal_pb2
from flyteidl.core import execution_pb2 as core_execution
from flyteidl.core import identifier_pb2, literals_pb2
from flyteidl.service import signal_pb2_grpc

MOST_LISTED = 100
"""Characters of an error in a list (``trimmedErrMessageLen``)."""
REJECTED = "received a reject signal to disapprove the node input values"
"""What propeller says of an execution that was rejected."""
Phase = core_execution.WorkflowExecution.Phase


@dataclass
class Kept:
    """One execution."""

    id: identifier_pb2.WorkflowExecutionIdentifier
    workflow: str
    version: str
    phase: int
    error: str = ""
    code: str = ""
    cause: str = ""
    launcher: str = ""
    aborted_by: str = ""
    outputs: dict = field(default_factory=dict)
    """By node: what it gave."""
    waiting: set = field(default_factory=set)
    """Signals whose node runs, or ran."""
    given: dict = field(default_factory=dict)
    """Signals that were set, and what to."""

    def decided(self, *, is_approved):
        """End as propeller ends an execution whose review was rejected; go on otherwise."""
        if not is_approved:
            self.phase, self.error = Phase.FAILED, REJECTED
            self.code = "ReceivedRejectSignal"

    def message(self, most=None):
        """Return it as the admin does, its error cut where it is one of a list."""
        closure = execution_pb2.ExecutionClosure(phase=self.phase)
        closure.created_at.FromSeconds(1_764_400_000)
        if self.error:
            closure.error.message = self.error[:most]
            closure.error.code = self.code
        if self.cause:
            closure.abort_metadata.cause = self.cause
            closure.abort_metadata.principal = self.aborted_by
        spec = execution_pb2.ExecutionSpec(
            launch_plan=identifier_pb2.Identifier(
                resource_type=identifier_pb2.LAUNCH_PLAN,
                project=self.id.project,
                domain=self.id.domain,
                name=self.workflow,
                version=self.version,
            ),
            metadata=execution_pb2.ExecutionMetadata(principal=self.launcher),
        )
        return execution_pb2.Execution(id=self.id, spec=spec, closure=closure)


class Executions:
    """The part of the admin service that answers for executions."""

    def __init__(self):
        self.executions = []

    def ran(self, name, phase, *, project="consolidation", domain="staging", **more):
        """Keep an execution, the newest so far."""
        identity = identifier_pb2.WorkflowExecutionIdentifier(
            project=project, domain=domain, name=name
        )
        defaults = {"workflow": "workflows.consolidation.workflow.consolidate", "version": "v1"}
        kept = Kept(identity, phase=Phase.Value(phase), **{**defaults, **more})
        self.executions.append(kept)
        return kept

    def execution(self, identity, context):
        for kept in self.executions:
            if kept.id == identity:
                return kept
        return context.abort(grpc.StatusCode.NOT_FOUND, "missing entity of type execution")

    def ListExecutions(self, request, context):
        place = (request.id.project, request.id.domain)
        found = [one for one in self.executions if (one.id.project, one.id.domain) == place]
        found.reverse()
        start = int(request.token or 0)
        end = start + request.limit
        listed = [one.message(MOST_LISTED) for one in found[start:end]]
        token = str(end) if len(listed) == request.limit else ""
        return execution_pb2.ExecutionList(executions=listed, token=token)

    def GetExecution(self, request, context):
        return self.execution(request.id, context).message()

    def GetNodeExecutionData(self, request, context):
        kept = self.execution(request.id.execution_id, context)
        if request.id.node_id not in kept.outputs:
            context.abort(grpc.StatusCode.NOT_FOUND, "missing entity of type node execution")
        outputs = kept.outputs[request.id.node_id]
        return node_execution_pb2.NodeExecutionGetDataResponse(full_outputs=outputs)


def _boolean(value):
    primitive = literals_pb2.Primitive(boolean=value)
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=primitive))


class Signals(signal_pb2_grpc.SignalServiceServicer):
    """The service of signals: those that nodes wait for."""

    def __init__(self, admin):
        self.admin = admin

    def ListSignals(self, request, context):
        kept = self.admin.execution(request.workflow_execution_id, context)
        signals = [
            signal_pb2.Signal(
                id=identifier_pb2.SignalIdentifier(signal_id=name, execution_id=kept.id),
                value=_boolean(kept.given[name]) if name in kept.given else None,
            )
            for name in sorted(kept.waiting)
        ]
        return signal_pb2.SignalList(signals=signals)

    def SetSignal(self, request, context):
        kept = self.admin.execution(request.id.execution_id, context)
        if request.id.signal_id not in kept.waiting:
            context.abort(grpc.StatusCode.NOT_FOUND, "missing entity of type signal")
        if request.id.signal_id not in kept.given:
            kept.given[request.id.signal_id] = request.value.scalar.primitive.boolean
            kept.decided(is_approved=request.value.scalar.primitive.boolean)
        return signal_pb2.SignalSetResponse()
