"""``provost runs`` and ``provost plans``: what was launched, and how it ended.

``runs`` lists executions in Flyte, failures and reasons, and whether they have records. ``plans``
lists all launches of consolidations with their results.
"""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import shorten

import click

from lineage.launches.history import launches, of_team
from lineage.launches.launch import Launch, PlannedTeacherSummary
from lineage.store.store import open_store
from workflows.commands.documents import Plans, Run, Runs
from workflows.commands.faculty import PIPELINES, place_of, teams
from workflows.commands.output import as_json, emit, say, tabulate, tell_left_out

DOMAINS = ("development", "staging", "production")


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--domain",
    type=click.Choice(DOMAINS),
    default=DOMAINS[0],
    show_default=True,
    help="Flyte domain.",
)
@click.option(
    "--last",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Number of executions per project.",
)
@click.option("--failed", is_flag=True, help="List only failed and aborted executions.")
@click.option("--record", is_flag=True, help="Record each failure that has no record.")
@as_json
def runs(
    names: tuple[str, ...], *, domain: str, last: int, failed: bool, record: bool, as_document: bool
) -> None:
    """List the Flyte executions of NAMES (teams and pipelines; default all).

    An aborted run, or one with a killed pod, leaves no record. The list marks these runs, and
    --record writes records from Flyte's data. Exit status 1 if a failure has no record.
    """
    from flytekit.exceptions.base import FlyteException

    from workflows.commands.flyte import sentence
    from workflows.commands.registration import open_remote

    places = [place_of(name) for name in names or (*PIPELINES, *teams())]
    remote = open_remote(places[0], domain)
    try:
        found = _found(remote, [place.project for place in places], domain, last, record=record)
    except FlyteException as error:
        raise click.ClickException(
            f"{remote.config.platform.endpoint} did not list executions: {sentence(error)}"
        ) from error
    shown = [run for run in found if run.has_failed or not failed]
    missing = sum(run.lacks_record for run in shown)
    if as_document:
        emit(Runs(runs=shown, unrecorded=missing))
    else:
        _tell(shown, missing)
    if missing:
        raise SystemExit(1)


def _found(
    remote: object, projects: Sequence[str], domain: str, last: int, *, record: bool
) -> list[Run]:
    from tasks.contracts.review import rejections
    from tasks.platform.failure import failures
    from tasks.platform.step_runner import StepRunner
    from workflows.commands.flyte import executions

    runner = StepRunner()
    recorded = {
        attested.flyte.name: digest
        for digest, attested in (*rejections(runner), *failures(runner))
        if attested.flyte
    }
    listed = [
        run for project in projects for run in executions(remote, project, domain, last, recorded)
    ]
    return [_recorded(run) if record and run.lacks_record else run for run in listed]


def _recorded(run: Run) -> Run:
    """Write the record of a failure that left none, from what Flyte says of it."""
    from tasks.contracts.review import record_rejection
    from tasks.platform.failure import Failure, Work, leave_record
    from tasks.platform.step_runner import StepRunner
    from workflows.commands.flyte import REJECTED

    if run.error_type == REJECTED:
        rejection = record_rejection(StepRunner(run=run.flyte_run), {})
        if rejection is not None:
            return run.model_copy(update={"record": rejection.record})
    failure = Failure(run.workflow, run.error_type or run.phase, run.reason or run.phase)
    made = leave_record(StepRunner(run=run.flyte_run), failure, Work(settings={"phase": run.phase}))
    return run.model_copy(update={"record": made.record if made else ""})


def _tell(shown: Sequence[Run], missing: int) -> None:
    if not shown:
        say("No execution is there.")
        return
    columns = ("execution", "created", "phase", "workflow", "reason", "record")
    tabulate(columns, map(_row, shown), whole=("execution",))
    if missing:
        say()
        say(f"{missing} failed without a record: `provost runs --record` writes what Flyte says.")


def _row(run: Run) -> list[str]:
    record = "MISSING" if run.lacks_record else run.record.removeprefix("sha256:")[:12]
    return [
        f"{run.project}/{run.domain}/{run.execution}",
        run.created[:16].replace("T", " "),
        run.phase,
        run.workflow.rpartition(".")[2],
        run.reason,
        record,
    ]


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

    from workflows.commands.faculty import place_of
    from workflows.commands.flyte import is_configured, principals, sentence
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


_ERROR = 300
"""Characters of an error in a list; `provost lineage show` and --json have all of it."""


def _lines(launch: Launch) -> Iterator[str]:
    """Yield one launch as a headline and what there is to say of it."""
    names = [name for result in launch.students for name in result.names or [result.digest[7:19]]]
    yield (
        f"{launch.at[:16].replace('T', ' ')}  plan {launch.plan[7:19]}  "
        f"{', '.join([launch.outcome, *names])}"
    )
    verdicts = {
        each.name: each.remedied.verdict if each.remedied else each.verdict
        for each in launch.verdicts
    }
    said = {
        "launched by": f"{launch.launcher or 'unknown'}, {_preset(launch)}",
        "teachers": ", ".join(_teacher(each, verdicts) for each in launch.teachers),
        "findings": ", ".join(_count(launch)),
        "review": "; ".join(f"{each.decision}: {each.words()}" for each in launch.decisions),
        "execution": launch.execution_url or launch.execution or "",
        "error": shorten(launch.error.partition("\n")[0], _ERROR, placeholder=" ..."),
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
