"""The gate's page: verdicts, reasons, the worst tokens in context, and next steps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lineage.view.summary import command
from tasks.contracts.handover import Plan, Remedy, TeacherVerdict, Verdict
from tasks.contracts.remedies import WarmUpSettings
from tasks.gate.measured import ProbeResult, TeacherMeasure, TeacherReading
from tasks.gate.refork import Requested
from tasks.gate.reliability import reliability
from tasks.gate.verdict import Judged
from tasks.model.relation import Ancestry
from tasks.reports.rendering import render
from tasks.statistics import Z

_TITLE = "Gate before the merge"
_LIGHT = WarmUpSettings()
_REMEDIES = {
    Remedy.NONE: "none",
    Remedy.WARM_UP: "a light SFT of the student on the teacher's answers before the merge: by "
    f"default up to {_LIGHT.most_cycles} cycles of {_LIGHT.prompts_per_teacher} prompts and "
    f"{_LIGHT.steps_per_teacher} steps of {_LIGHT.batch_size}, until the score on validation "
    "prompts stops rising; that score then decides",
    Remedy.DROP: "leave the teacher out: the student keeps its own skill in the domain",
}


@dataclass(frozen=True)
class _Cell:
    """One check of one teacher: the text, and whether the check failed."""

    text: str
    bad: bool = False


def gate_page(
    plan: Plan,
    measured: ProbeResult,
    judged: Mapping[str, Judged],
    verdicts: Sequence[TeacherVerdict],
    reforks: Mapping[str, Requested],
) -> str:
    """Return the whole page."""
    rows = {each.name: _checks(each, judged[each.name]) for each in measured.teachers}
    return render(
        "gate.html.j2",
        title=_TITLE,
        headline=_headline(verdicts),
        measured=measured,
        student=plan.student.digest[:19],
        names=list(rows),
        checks=[
            (check, [cells[check] for cells in rows.values()])
            for check in next(iter(rows.values()))
        ],
        teachers=[
            _teacher(
                each, judged[each.name], verdict, reforks.get(each.name), _remedied_launch(plan)
            )
            for each, verdict in zip(measured.teachers, verdicts, strict=True)
        ],
        reliability=reliability().words(),
    )


def unmeasured_page(plan: Plan) -> str:
    """Return the page of a plan with teachers that were not measured."""
    names = ", ".join(teacher.name for teacher in plan.teachers if not teacher.is_self)
    return render("gate_unmeasured.html.j2", title=_TITLE, names=names)


def _headline(verdicts: Sequence[TeacherVerdict]) -> str:
    counts = {v: [t.name for t in verdicts if t.verdict is v] for v in Verdict}
    if len(counts[Verdict.FITS]) == len(verdicts):
        return "All teachers fit."
    return "; ".join(f"{', '.join(names)}: {v.value}" for v, names in counts.items() if names) + "."


def _checks(measure: TeacherMeasure, judged: Judged) -> dict[str, _Cell]:
    reading, scores = measure.reading, measure.scores
    codes = {reason.code for reason in judged.reasons}
    return {
        "verdict": _Cell(judged.verdict.value, judged.verdict is not Verdict.FITS),
        "score, from student to teacher": _Cell(
            f"{scores.student:.2f} to {scores.teacher:.2f} (± {Z * scores.error:.2f})",
            bool(codes & {"no-gain", "gain-unclear"}),
        ),
        "reverse KL, nats per token": _Cell(f"{reading.kl:.3f}"),
        "forward KL, nats per token": _Cell(f"{reading.forward_kl:.3f}"),
        "top tokens in common": _Cell(f"{reading.overlap:.0%}"),
        "student's probability on them": _Cell(f"{reading.mass:.1%}"),
        "tokens out of its distribution": _Cell(f"{reading.rare:.1%}"),
        "entropy, student and teacher": _Cell(
            f"{reading.student_entropy:.2f}, {reading.teacher_entropy:.2f}"
        ),
        "distance from uniform, nats": _Cell(
            f"{reading.from_uniform:.2f}", "teacher-uniform" in codes
        ),
        "difference of two calls, nats": _Cell(
            f"{reading.unsteady:.1g}", bool(codes & {"teacher-unsteady", "teacher-not-finite"})
        ),
        "distance from the start": _Cell(
            f"{measure.displacement.relative:.1%}" if measure.displacement else "not comparable"
        ),
        "declared precursor, by the weights": _ancestry(measure.ancestry),
        "declared fork point, by the precursor's weights": _ancestry(measure.fork_point),
        "explains its own domain best": _Cell(
            "too few answers"
            if measure.swap is None
            else (f"no, {measure.swap.suspect} does" if measure.swap.suspect else "yes"),
            bool(codes & {"swapped-path", "other-words", "gate-unknown"}),
        ),
        "its nats on the student's right answers": _Cell(_nats(measure)),
    }


def _nats(measure: TeacherMeasure) -> str:
    """Return how unlikely the teacher finds the student's right answers, per token."""
    if measure.swap is None:
        return "too few answers"
    return f"{-measure.swap.log_likelihood[measure.name]:.3f}"


def _ancestry(found: Ancestry | None) -> _Cell:
    if found is None:
        return _Cell("not measured")
    share = "" if found.projection is None else f"keeps {found.projection:.0%} of its training"
    return _Cell(share or f"distance {found.distance:.1%}", found.contradicted or found.doubtful)


def _remedied_launch(plan: Plan) -> str:
    """Return the command that merges the teachers of a plan with the proposed remedies."""
    teachers = ",".join(teacher.reference for teacher in plan.teachers)
    return command("run", "consolidation", "--teachers", teachers, "--on-misfit", "remedy")


def _teacher(
    measure: TeacherMeasure,
    judged: Judged,
    verdict: TeacherVerdict,
    refork: Requested | None,
    launch: str,
) -> dict[str, object]:
    """Return the values of one teacher's section; ``launch`` applies the proposed remedies."""
    cosines = measure.displacement.cosines if measure.displacement else {}
    directions = ", ".join(f"{name} {value:.2f}" for name, value in cosines.items())
    facts = [
        ("verdict", judged.verdict.value),
        ("proposed remedy", _REMEDIES[verdict.proposed]),
        ("applied in this run", _REMEDIES[verdict.done]),
        ("cosine with other teachers' displacements", directions or "not comparable"),
    ]
    if verdict.proposed is Remedy.WARM_UP and verdict.done is Remedy.NONE:
        facts.insert(2, ("command that applies it", launch))
    if refork:
        request = refork.refork
        inputs = ", ".join(f"{name} = {value}" for name, value in request.inputs.items())
        facts += [
            (
                f"command for {request.owner} to climb again from the student's start",
                refork.command,
            ),
            (
                "the same in Flyte's console, in the owner's project",
                f"{request.launch_plan} with {inputs}",
            ),
        ]
    return {
        "name": measure.name,
        "facts": facts,
        "reasons": judged.reasons,
        "reading": measure.reading,
        "bars": bars(measure.reading),
        "ladder": ladder_rows(measure, verdict),
        "num_stages": len(verdict.ladder) + 1,
    }


def bars(reading: TeacherReading) -> list[dict[str, float]]:
    """Return place, height and value of a bar for each fifth of an answer with a finite value."""
    most = max([*reading.kl_course, 1e-9])
    return [
        {"x": 10 + 60 * place, "height": 60 * value / most, "value": value}
        for place, value in enumerate(reading.kl_course)
        if math.isfinite(value)
    ]


def ladder_rows(
    measure: TeacherMeasure, verdict: TeacherVerdict
) -> list[tuple[str, str, str, str]]:
    """Return each rung's distance and stage; empty with a single stage."""
    if not measure.ladder:
        return []
    stages = {rung.step: place for place, rung in enumerate(verdict.ladder, start=1)}
    whole = measure.reading.kl
    rows = [
        _rung(f"step {each.step}", each.kl, whole, stages.get(each.step)) for each in measure.ladder
    ]
    return [*rows, _rung("the teacher", whole, whole, len(stages) + 1)]


def _rung(name: str, kl: float, whole: float, stage: int | None) -> tuple[str, str, str, str]:
    known = math.isfinite(kl)
    return (
        name,
        f"{kl:.3f}" if known else "not finite",
        f"{kl / whole:.0%}" if known and whole > 0 else "",
        f"stage {stage}" if stage else "",
    )
