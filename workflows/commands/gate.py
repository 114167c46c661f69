"""``provost gate``: do teachers fit, before a merge is paid for?"""

import shutil
from pathlib import Path

import click

from lineage.store import home, open_store
from tasks.handover import Gated, TeacherVerdict, Verdict
from workflows.commands.local import quiet, run_locally
from workflows.commands.options import chosen, options_of
from workflows.commands.output import say, tabulate
from workflows.gate import gate as gate_workflow


@click.command(params=options_of(gate_workflow))
@click.option("--out", type=click.Path(path_type=Path), help="Where the report goes.")
def gate(out: Path | None, **given: object) -> None:
    """Measure teachers against a student; exit 1 where one does not fit."""
    quiet()
    found: Gated = run_locally(gate_workflow, **chosen(given))
    name = found.report.digest.removeprefix("sha256:")[:12]
    folder = out or home() / "gates" / name
    shutil.copytree(open_store().tree(found.report.digest), folder, dirs_exist_ok=True)
    _tell(found)
    say()
    say(f"{folder}/gate.html  judged.json  measured.json")
    if any(teacher.verdict is not Verdict.FITS for teacher in found.teachers):
        raise SystemExit(1)


def _tell(found: Gated) -> None:
    from tasks.gate.refork import read_refork

    tabulate(
        ("teacher", "verdict", "share of its gain expected", "proposed"),
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
        return "not asked"
    return f"{teacher.predicted:.2f} ({teacher.low:.2f} to {teacher.high:.2f})"
