"""``provost plans``: all launches of consolidations, with their results."""

from collections.abc import Iterator, Mapping

import click

from lineage.launches.history import launches, of_team
from lineage.launches.launch import Launch, PlannedTeacherSummary
from lineage.store.store import open_store
from workflows.commands.documents import Plans
from workflows.commands.output import as_json, emit, say, tell_left_out


@click.command()
@click.option("--team", default="", help="List only plans with a teacher of this team or domain.")
@as_json
def plans(team: str, as_document: bool) -> None:
    """List consolidation launches: inputs, findings, approval and result.

    Everything comes from the records, except for who launched an execution in Flyte, which is
    queried from the Flyte of flytekit's configuration, if there is one.
    """
    found, problems = launches(open_store())
    shown = [launch for launch in found if not team or of_team(launch, team)]
    shown, unanswered = _with_launchers(shown)
    problems = [*problems, *unanswered]
    if as_document:
        emit(Plans(plans=shown, problems=problems))
        raise SystemExit(1 if problems else 0)
    if not shown:
        say("No consolidation was launched" + (f" with a teacher of {team}." if team else "."))
    for launch in shown:
        for line in _lines(launch):
            say(line)
    tell_left_out(problems)


def _with_launchers(shown: list[Launch]) -> tuple[list[Launch], list[str]]:
    """Return launches with who launched them in Flyte, and why that is missing."""
    unknown = {each.execution for each in shown if each.launcher is None and each.execution}
    names = sorted(name for name in unknown if name.count("/") == 2)
    if not names:
        return shown, []
    from flytekit.exceptions.base import FlyteException

    from workflows.commands.executions import is_configured, principals
    from workflows.commands.faculty import place_of
    from workflows.commands.refusals import sentence
    from workflows.commands.registration import open_remote

    if not is_configured():
        return shown, []
    remote = open_remote(place_of("consolidation"), names[0].split("/")[1])
    try:
        found = principals(remote, names)
    except FlyteException as error:
        place = remote.config.platform.endpoint
        return shown, [f"who launched in Flyte: {place} did not answer: {sentence(error)}"]
    return [
        each.model_copy(update={"launcher": each.launcher or found.get(each.execution or "")})
        for each in shown
    ], []


def _lines(launch: Launch) -> Iterator[str]:
    """Yield one launch as a headline and what there is to say of it."""
    names = [name for result in launch.students for name in result.names or [result.digest[7:19]]]
    yield (
        f"{launch.at[:16].replace('T', ' ')}  plan {launch.plan[7:19]}  "
        f"{', '.join([launch.outcome, *names])}"
    )
    verdicts = {each.name: each.verdict for each in launch.verdicts}
    said = {
        "launched by": f"{launch.launcher or 'unknown'}, {_preset(launch)}",
        "teachers": ", ".join(_teacher(each, verdicts) for each in launch.teachers),
        "findings": ", ".join(_count(launch)),
        "review": "; ".join(f"{each.decision}: {each.words()}" for each in launch.decisions),
        "execution": launch.execution_url or launch.execution or "",
        "error": launch.error.partition("\n")[0],
    }
    for name, text in said.items():
        if text:
            yield f"  {name:<12} {text}"


def _preset(launch: Launch) -> str:
    if launch.preset is None:
        return "preset unknown"
    version = f" of {launch.preset_version[:12]}" if launch.preset_version else ""
    return f"preset {launch.preset}{version}" if launch.preset else f"no preset{version}"


def _teacher(teacher: PlannedTeacherSummary, verdicts: Mapping[str, str]) -> str:
    reference = teacher.reference.removeprefix("teacher.")
    verdict = verdicts.get(reference.partition("@")[0])
    return f"{reference} ({verdict})" if verdict else reference


def _count(launch: Launch) -> Iterator[str]:
    severities = [finding.severity for finding in launch.findings]
    for kind, plural in (("refusal", "refusals"), ("warning", "warnings")):
        if number := severities.count(kind):
            yield f"{number} {kind if number == 1 else plural}"
    if launch.waivers:
        yield f"{len(launch.waivers)} waived"
