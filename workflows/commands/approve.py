"""``provost approve`` and ``provost waive``: a person's decision on a plan, with a record.

``approve`` approves or rejects a plan that is waiting in Flyte. ``waive`` accepts the findings of a
plan with a signed waiver in the lineage.
"""

import re
import time
from typing import TYPE_CHECKING

import click

from workflows.commands.output import agreed, say
from workflows.commands.runs import DOMAINS

if TYPE_CHECKING:
    from flytekit.models.core.identifier import WorkflowExecutionIdentifier
    from flytekit.remote import FlyteRemote

    from tasks.contracts.handover import Gated

_NAME = re.compile(r"(?:(?P<project>[a-z0-9-]+)/(?P<domain>[a-z0-9-]+)/)?(?P<execution>[a-z0-9-]+)")
_POLL_SECONDS = 5.0


@click.command()
@click.argument("execution")
@click.option(
    "--domain",
    type=click.Choice(DOMAINS),
    default=DOMAINS[0],
    show_default=True,
    help="Flyte domain.",
)
@click.option("--by", default="", help="Name of the approver.  [default: the local user]")
@click.option("--reason", required=True, help="Reason; kept in the student's record.")
@click.option("--reject", is_flag=True, help="Reject the plan, which ends the execution.")
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
@click.option(
    "--wait", type=click.IntRange(0), default=0, help="Minutes to wait for the plan.  [default: 0]"
)
def approve(
    execution: str, *, domain: str, by: str, reason: str, reject: bool, yes: bool, wait: int
) -> None:
    """Show the plan of EXECUTION, which waits for approval, and approve it.

    EXECUTION is the name in Flyte, or project/domain/name as printed by `provost runs`. The
    decision is recorded before it is sent to Flyte: who, why, and what was shown.
    """
    from flytekit.exceptions.base import FlyteException

    from lineage.errors import LineageError
    from workflows.commands.flyte import sentence

    remote, identity = _named(execution, domain)
    try:
        _await_signal(remote, identity, wait)
        gated = _gated(remote, identity)
        for line in gated.summary.splitlines():
            say(line)
        what = "Reject" if reject else "Approve"
        if not yes and not agreed(f"{what} this plan?"):
            raise click.ClickException("no decision was made: the execution keeps waiting")
        record = _record(gated, identity, by, reason, is_rejected=reject)
        _signal(remote, identity, is_rejected=reject)
    except LineageError as error:
        raise click.ClickException(str(error)) from error
    except FlyteException as error:
        raise click.ClickException(
            f"{remote.config.platform.endpoint} did not accept the decision on {identity.name}: "
            f"{sentence(error)}"
        ) from error
    say(f"{'rejected' if reject else 'approved'}; record {record}")


def _named(execution: str, domain: str) -> tuple["FlyteRemote", "WorkflowExecutionIdentifier"]:
    from flytekit.models.core.identifier import WorkflowExecutionIdentifier

    from workflows.commands.faculty import place_of
    from workflows.commands.registration import open_remote

    found = _NAME.fullmatch(execution)
    if found is None:
        raise click.ClickException(
            f"{execution!r} is not an execution: give its name in Flyte, or project/domain/name"
        )
    place = place_of("consolidation")
    domain = found["domain"] or domain
    identity = WorkflowExecutionIdentifier(
        found["project"] or place.project, domain, found["execution"]
    )
    return open_remote(place, domain), identity


def _await_signal(
    remote: "FlyteRemote", identity: "WorkflowExecutionIdentifier", minutes: int
) -> None:
    """Return when the execution waits for approval; its gate may have to finish first."""
    from workflows.commands.flyte import ENDED, phase_of
    from workflows.consolidation.stages import REVIEW

    deadline = time.monotonic() + minutes * 60
    while True:
        phase = phase_of(remote, identity)
        if phase in ENDED:
            raise click.ClickException(f"{identity.name} needs no approval: it is {phase}")
        found = [
            signal
            for signal in remote.list_signals(identity.name, identity.project, identity.domain)
            if signal.id.signal_id == REVIEW
        ]
        if any(signal.value.scalar.HasField("primitive") for signal in found):
            raise click.ClickException(
                f"{identity.name} needs no approval: its plan was decided already. `provost plans` "
                "shows by whom"
            )
        if found:
            return
        if time.monotonic() >= deadline:
            raise click.ClickException(
                f"{identity.name} has no plan to approve yet (it is {phase}): wait for the gate "
                "with --wait MINUTES. Only `consolidate_reviewed` needs approval"
            )
        time.sleep(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))


def _gated(remote: "FlyteRemote", identity: "WorkflowExecutionIdentifier") -> "Gated":
    """Return the plan that passed the execution's gate."""
    from flytekit.core.type_engine import TypeEngine
    from flytekit.models.core.identifier import NodeExecutionIdentifier

    from tasks.contracts.handover import Gated

    found = remote.client.get_node_execution_data(NodeExecutionIdentifier("gate", identity))
    literal = found.full_outputs.literals["o0"]
    gated: Gated = TypeEngine.to_python_value(remote.context, literal, Gated)
    return gated


def _record(
    gated: "Gated",
    identity: "WorkflowExecutionIdentifier",
    by: str,
    reason: str,
    *,
    is_rejected: bool,
) -> str:
    from lineage.errors import LineageError
    from lineage.launches.launch import Decision
    from lineage.records.derivation import FlyteRun
    from tasks.contracts.review import record_decision
    from tasks.platform.provenance import person
    from tasks.platform.step_runner import StepRunner

    run = FlyteRun(project=identity.project, domain=identity.domain, execution=identity.name)
    by = by or person()
    for name, text in (("--by", by), ("--reason", reason)):
        if not text.strip():
            raise LineageError(f"{name} is empty: the record needs the approver and the reason")
    decision = Decision(
        decision="rejected" if is_rejected else "approved", by=by, way="command", reason=reason
    )
    return record_decision(StepRunner(run=run), gated, decision).record


def _signal(
    remote: "FlyteRemote", identity: "WorkflowExecutionIdentifier", *, is_rejected: bool
) -> None:
    from workflows.consolidation.stages import REVIEW

    tell = remote.reject if is_rejected else remote.approve
    tell(REVIEW, identity.name, identity.project, identity.domain)


@click.command()
@click.argument("plan")
@click.option("--reason", required=True, help="Why; it stays in the student's lineage forever.")
def waive(plan: str, reason: str) -> None:
    """Accept the findings of PLAN (a digest); print the waiver's digest for the next launch.

    The waiver is signed with your key, or with $PROVOST_SIGNING_KEY (or .._FILE). The key must
    belong to a team that owns students.
    """
    from tasks.gate.decision import waive as sign
    from tasks.platform.step_runner import StepRunner

    done = sign(StepRunner(), plan, reason)
    for note in done.findings:
        say(f"accepted: {note.subject} [{note.code}] {note.evidence}", err=True)
    say(done.artifact.digest)
