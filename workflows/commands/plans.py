"""``provost plans``: every consolidation that was planned, and what came of it."""

import click

from lineage.launches import Finding, Launch, launches, of_team
from lineage.store import open_store
from workflows.commands.documents import Plans
from workflows.commands.output import as_json, emit, say, tabulate, tell_left_out


@click.command()
@click.option("--team", default="", help="Only those with a teacher of this team or domain.")
@as_json
def plans(team: str, as_document: bool) -> None:
    """List every planned consolidation: teachers, findings, waivers, outcome, result."""
    found, problems = launches(open_store())
    shown = [launch for launch in found if not team or of_team(launch, team)]
    if as_document:
        emit(Plans(plans=shown, problems=problems))
        raise SystemExit(1 if problems else 0)
    columns = ("planned", "plan", "teachers", "findings", "waivers", "outcome", "result", "run")
    if shown:
        tabulate(columns, map(_row, shown), whole=("plan",))
    else:
        say("No consolidation was planned" + (f" with a teacher of {team}." if team else "."))
    for launch in shown:
        if launch.error:
            say(f"{launch.plan[7:19]} failed: {launch.error.splitlines()[0]}")
    tell_left_out(problems)


def _row(launch: Launch) -> list[str | list[str]]:
    names = [name for result in launch.students for name in result.names or [result.digest[7:19]]]
    return [
        launch.at[:16].replace("T", " "),
        launch.plan[7:19],
        [teacher.reference.removeprefix("teacher.") for teacher in launch.teachers],
        _count(launch.findings),
        str(len(launch.waivers) or ""),
        launch.outcome,
        names,
        launch.execution or "",
    ]


def _count(findings: list[Finding]) -> list[str]:
    severities = [finding.severity for finding in findings]
    return [
        f"{severities.count(kind)} {kind}" for kind in ("refusal", "warning") if kind in severities
    ]
