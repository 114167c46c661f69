"""``provost waive``: accept the findings of a plan with a signed waiver in the lineage."""

import click

from workflows.commands.output import say


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
