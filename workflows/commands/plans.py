"""``provost plans``: all launches of consolidations, with their results."""

import click

from lineage.launch import Launch, LaunchFinding
from lineage.launches import launches, of_team
from lineage.store import open_store
from workflows.commands.documents import Plans
from workflows.commands.output import as_json, emit, say, tabulate, tell_left_out


@click.command()
@click.option("--team", default="", help="List only plans with a teacher of this team or domain.")
@as_json
def plans(team: str, as_document: bool) -> None:
    """List consolidation launches: inputs, findings, approval and result."""
    found, problems = launches(open_store())
    shown = [launch for launch in found if not team or of_team(launch, team)]
    if as_document:
        emit(Plans(plans=shown, problems=problems))
        raise SystemExit(1 if problems else 0)
    columns = (
        "launched",
        "plan",
        "preset",
        "by",
        "teachers",
        "gate",
        "findings",
        "approved",
        "came",
    )
    if shown:
        tabulate(columns, map(_row, shown), whole=("plan",))
    else:
        say("No consolidation was launched" + (f" with a teacher of {team}." if team else "."))
    for launch in shown:
        if launch.error:
            say(f"{launch.plan[7:19]} failed: {launch.error.splitlines()[0]}")
    tell_left_out(problems)


def _row(launch: Launch) -> list[str | list[str]]:
    names = [name for result in launch.students for name in result.names or [result.digest[7:19]]]
    return [
        launch.at[:16].replace("T", " "),
        launch.plan[7:19],
        _preset(launch),
        launch.launcher or "unknown",
        [teacher.reference.removeprefix("teacher.") for teacher in launch.teachers],
        [f"{each.name} {each.verdict}" for each in launch.verdicts],
        [*_count(launch.findings), *([f"{len(launch.waivers)} waived"] if launch.waivers else [])],
        [f"{each.decision}: {each.words()}" for each in launch.decisions],
        [launch.outcome, *names, *([launch.execution_url or launch.execution or ""])],
    ]


def _preset(launch: Launch) -> list[str]:
    if launch.preset is None:
        return ["unknown"]
    return [launch.preset or "none", (launch.preset_version or "")[:12]]


def _count(findings: list[LaunchFinding]) -> list[str]:
    severities = [finding.severity for finding in findings]
    return [
        f"{severities.count(kind)} {kind}" for kind in ("refusal", "warning") if kind in severities
    ]
