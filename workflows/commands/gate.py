"""``provost gate``: checks whether teachers fit a student, before any merge is run.

For a teacher that does not, the gate writes a request to climb again; ``provost run teacher`` takes
its inputs from here.
"""

import time
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import BaseModel

from lineage.digest import is_digest
from lineage.store.scratch import copy_writable
from lineage.store.store import home, open_store
from lineage.view.summary import Score, Summary, command
from tasks.contracts.handover import Gated, Remedy, TeacherVerdict, Verdict
from workflows.commands.faculty import team_settings
from workflows.commands.local import quiet, run_locally
from workflows.commands.models import conclude
from workflows.commands.options import chosen, options_of
from workflows.commands.output import as_json, say, tabulate
from workflows.gate import gate as gate_workflow

if TYPE_CHECKING:
    from tasks.gate.refork import Refork


@click.command(params=options_of(gate_workflow))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the report.")
@as_json
def gate(out: Path | None, as_document: bool, **given: object) -> None:
    """Measure teachers against a student; exit 1 if one does not fit."""
    quiet()
    started = time.monotonic()
    looked = run_locally(gate_workflow, **chosen(given))
    found: Gated = looked.gated
    name = found.report.digest.removeprefix("sha256:")[:12]
    folder = out or home() / "gates" / name
    copy_writable(open_store().tree(found.report.digest), folder)
    if not as_document:
        _tell(found, looked.outcomes)
    told = {name: value for name, value in chosen(given).items() if name != "teachers"}
    summary = _summary(found, folder, time.monotonic() - started, told)
    conclude(summary, as_document)
    if any(teacher.verdict is not Verdict.FITS for teacher in found.teachers):
        raise SystemExit(1)


def _summary(found: Gated, folder: Path, seconds: float, given: Mapping[str, object]) -> Summary:
    plan = found.plan
    misfits = [each for each in found.teachers if each.verdict is not Verdict.FITS]
    references = ",".join(teacher.reference for teacher in plan.teachers)
    assert plan.artifact is not None
    return Summary(
        kind="gate",
        name="",
        digest=plan.artifact.digest,
        verdict="all teachers fit" if not misfits else _misfits(misfits),
        unit="score above the student's",
        scores=[
            Score(what=each.name, value=each.lead, low=each.lead_low, high=each.lead_high)
            for each in found.teachers
            if each.lead is not None
        ],
        warnings=[
            f"{note.subject} [{note.code}]: {note.evidence}"
            for note in plan.notes
            if note.severity != "note"
        ],
        report=str(folder / "gate.html"),
        seconds=seconds,
        next=next_launch({"teachers": references, **given}, misfits),
    )


def next_launch(given: Mapping[str, object], misfits: Sequence[TeacherVerdict]) -> list[str]:
    """Return the launch that the verdicts allow: as it is, or with the proposed remedies.

    A consolidation takes every option of a gate. It has to be measured as this gate was.
    """
    options = [(f"--{name.replace('_', '-')}", str(value)) for name, value in given.items()]
    merge = ("run", "consolidation", *chain.from_iterable(options))
    if not misfits:
        return [command(*merge)]
    if all(each.proposed is Remedy.WARM_UP for each in misfits):
        return [command(*merge, "--on-misfit", "remedy")]
    return []


def _misfits(misfits: list[TeacherVerdict]) -> str:
    return ", ".join(f"{each.name}: {each.verdict.value}" for each in misfits)


def _tell(found: Gated, outcomes: Sequence[str]) -> None:
    from tasks.gate.refork import read_refork

    tabulate(
        ("teacher", "verdict", "score above the student's", "proposed"),
        (
            (teacher.name, teacher.verdict.value, teacher.lead_words, teacher.proposed.value)
            for teacher in found.teachers
        ),
    )
    for note in found.plan.notes:
        say(
            f"{note.severity} {note.subject} [{note.code}]: {note.evidence}. What to do: "
            f"{note.next_step}"
        )
    for line in outcomes:
        say(f"earlier merge: {line}")
    for teacher in found.teachers:
        if teacher.refork:
            asked = read_refork(open_store().get_bytes(teacher.refork.digest))
            say(f"For {asked.owner}, to climb again: {asked.launched_by(teacher.refork.digest)}")


SETTINGS: Mapping[str, str] = {"sft": "SFT", "rl": "RL"}
"""Variable in a team's ``settings.py`` for each kind of stage."""


def inputs_of_request(team: str, request: str) -> dict[str, Any]:
    """Return the climb inputs of a request, given its digest or file.

    Raises:
        LineageError: it is not a request.
        click.ClickException: it belongs to another team, or the team's settings have changed since
            the teacher was trained.
    """
    from tasks.gate.refork import read_refork

    data = open_store().get_bytes(request) if is_digest(request) else _of_file(request)
    asked = read_refork(data)
    settings = team_settings(team)
    if settings.DOMAIN.name != asked.domain:
        raise click.ClickException(
            f"the request is for {asked.owner} and domain {asked.domain!r}, but {team} teaches "
            f"{settings.DOMAIN.name!r}: run `provost run teacher {asked.team} --request ...`"
        )
    differing = list(_differences(asked, settings))
    if differing:
        raise click.ClickException(
            f"{asked.teacher} was trained with other settings than {team} has now, so this would "
            "not be the requested climb:\n"
            + "\n".join(f"  {line}" for line in differing)
            + "\nRestore them, or climb with the present ones: "
            f"provost run teacher {team} {asked.given}"
        )
    say(f"{asked.teacher} of {asked.owner} needs to climb again:")
    for reason in asked.reasons:
        say(f"  {reason}")
    return dict(asked.inputs)


def _of_file(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise click.ClickException(
            f"{name!r} cannot be read ({error.strerror}): give the digest or the file of a request "
            "that the gate's page names"
        ) from error


def _differences(asked: "Refork", settings: object) -> list[str]:
    """Return every setting that differs from the teacher's records."""
    found = []
    for stage in asked.trained:
        own = getattr(settings, SETTINGS.get(stage.kind, ""), None)
        if not isinstance(own, BaseModel):
            continue  # the team wires stages of its own; the request holds their records
        now, then = _flat(own.model_dump(mode="json")), _flat(stage.settings)
        found += [
            f"{stage.kind} {name}: {then[name]!r} then, {now.get(name, 'not there')!r} now"
            for name in then
            if name not in now or now[name] != then[name]
        ]
    return found


def _flat(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return settings by their dotted paths."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= (
            _flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
        )
    return flat
