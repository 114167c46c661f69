"""``provost doctor``: checks this machine, the store and MLflow, and suggests fixes."""

import click

from workflows.commands.answers import CheckAnswer, Checkup
from workflows.commands.output import as_json, emit, say


@click.command()
@as_json
def doctor(as_document: bool) -> None:
    """Check machine, confinement, store, keys, MLflow and versions. Exit 1 on a failure.

    The checks take a few seconds and leave nothing behind.
    """
    from lineage.doctor.check import worst
    from lineage.doctor.places import check_keys, check_store, check_tracking
    from tasks.doctor.confinement import check_confinement
    from tasks.doctor.machine import check_machine, check_versions

    checks = [
        *check_machine(),
        *check_confinement(),
        *check_store(),
        *check_keys(),
        *check_tracking(),
        *check_versions(),
    ]
    if as_document:
        rows = [CheckAnswer(**vars(check)) for check in checks]
        emit(Checkup(status=worst(checks), checks=rows))
    else:
        for check in checks:
            say(f"{check.status:<8} {check.name:<20} {check.finding}")
            if check.remedy:
                say(f"{'':<29} {check.remedy}")
    if worst(checks) == "failure":
        raise SystemExit(1)
