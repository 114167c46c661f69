"""``provost gate``: checks whether teachers fit a student, before any merge is run."""

import time
from pathlib import Path

import click

from lineage.store.scratch import copy_writable
from lineage.store.store import home, open_store
from lineage.view.summary import Score, Summary, command
from tasks.contracts.handover import Gated, TeacherVerdict, Verdict
from workflows.commands.local import quiet, run_locally
from workflows.commands.models import conclude
from workflows.commands.options import chosen, options_of
from workflows.commands.output import as_json, say, tabulate
from workflows.gate import gate as gate_workflow


@click.command(params=options_of(gate_workflow))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the report.")
@as_json
def gate(out: Path | None, as_document: bool, **given: object) -> None:
    """Measure teachers against a student; exit 1 if one does not fit."""
    quiet()
    started = time.monotonic()
    found: Gated = run_locally(gate_workflow, **chosen(given)).gated
    name = found.report.digest.removeprefix("sha256:")[:12]
    folder = out or home() / "gates" / name
    copy_writable(open_store().tree(found.report.digest), folder)
    if not as_document:
        _tell(found)
    conclude(_summary(found, folder, time.monotonic() - started), as_document)
    if any(teacher.verdict is not Verdict.FITS for teacher in found.teachers):
        raise SystemExit(1)


def _summary(found: Gated, folder: Path, seconds: float) -> Summary:
    plan = found.plan
    misfits = [each for each in found.teachers if each.verdict is not Verdict.FITS]
    references = ",".join(teacher.reference for teacher in plan.teachers)
    assert plan.artifact is not None
    return Summary(
        kind="gate",
        name="",
        digest=plan.artifact.digest,
        verdict="all teachers fit" if not misfits else _misfits(misfits),
        unit="expected share of its gain",
        scores=[
            Score(what=each.name, value=each.predicted, low=each.low, high=each.high)
            for each in found.teachers
            if each.predicted is not None
        ],
        warnings=[
            f"{note.subject} [{note.code}]: {note.evidence}"
            for note in plan.notes
            if note.severity != "note"
        ],
        report=str(folder / "gate.html"),
        seconds=seconds,
        next=[command("run", "consolidation", "--teachers", references)] if not misfits else [],
    )


def _misfits(misfits: list[TeacherVerdict]) -> str:
    return ", ".join(f"{each.name}: {each.verdict.value}" for each in misfits)


def _tell(found: Gated) -> None:
    from tasks.gate.refork import read_refork

    tabulate(
        ("teacher", "verdict", "expected share of its gain", "proposed"),
        (
            (teacher.name, teacher.verdict.value, _expected(teacher), teacher.proposed.value)
            for teacher in found.teachers
        ),
    )
    for note in found.plan.notes:
        say(
            f"{note.severity} {note.subject} [{note.code}]: {note.evidence}. What to do: "
            f"{note.next_step}"
        )
    for teacher in found.teachers:
        if teacher.refork:
            asked = read_refork(open_store().get_bytes(teacher.refork.digest))
            say(f"For {asked.owner}, to climb again: {asked.launched_by(teacher.refork.digest)}")


def _expected(teacher: TeacherVerdict) -> str:
    if teacher.predicted is None:
        return "not predicted"
    return f"{teacher.predicted:.2f} ({teacher.low:.2f} to {teacher.high:.2f})"
