"""``provost runs``: executions in Flyte, failures and reasons, and whether they have records."""

from collections.abc import Sequence

import click

from workflows.commands.documents import Run, Runs
from workflows.commands.faculty import PIPELINES, place_of, teams
from workflows.commands.output import as_json, emit, say, tabulate

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

    from workflows.commands.refusals import sentence
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
    from workflows.commands.executions import executions

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
    from workflows.commands.executions import REJECTED

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
