"""The gate: measures the teachers of a plan, judges them, and decides what is done about each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import JsonValue

from lineage.artifacts import Artifact
from lineage.compatibility.checks import Finding
from lineage.digest import canonical_json
from lineage.records.record import Derivation, Input
from tasks.contracts.handover import (
    Gated,
    Level,
    MeasuredRung,
    OnMisfit,
    Plan,
    PlannedTeacher,
    Remedy,
    TeacherVerdict,
    Verdict,
)
from tasks.contracts.planned import JUDGED, refuse_changed, refuse_recalled
from tasks.contracts.refusal import RefusedError
from tasks.gate.decision import decide
from tasks.gate.measured import ProbeResult, ProbeSettings, Scores, TeacherMeasure
from tasks.gate.page import gate_page, unmeasured_page
from tasks.gate.plan import store_plan
from tasks.gate.probe_step import MEASURED, judged_teachers, measure_plan, with_ladder
from tasks.gate.refork import Requested, request_refork, would_help
from tasks.gate.verdict import GateSettings, Judged, applied_remedy, judge, not_measured
from tasks.onpolicy.ladder import earlier_rungs
from tasks.platform.measurements import Measurements
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner
from tasks.statistics import Z

PAGE = "gate.html"


def gate(
    runner: StepRunner,
    plan: Plan,
    on_misfit: OnMisfit,
    probe: ProbeSettings,
    *,
    reviewed: bool = False,
) -> Gated:
    """Measure and judge the plan's teachers; return the plan with the findings, also refusals.

    Nothing is refused here: ``admit`` does that, after the page is written. ``reviewed`` says
    whether a person must approve the plan afterwards.
    """
    planned = _checked(runner, plan)

    # Measure.
    measured, probe_artifact = measure_plan(runner, plan, probe)
    sources = (planned, Input.of("probe", probe_artifact))

    # Judge.
    judged = _judged(plan, measured)
    reforks = _reforks(runner, plan, judged, sources)
    teachers = [with_ladder(teacher, measured) for teacher in plan.teachers]
    measures = {each.name: each for each in measured.teachers}
    verdicts = [
        _verdict(
            teacher,
            (judged[teacher.name], measures[teacher.name]),
            on_misfit,
            probe.ladder_stages,
            reforks,
        )
        for teacher in teachers
        if not teacher.is_self
    ]

    # Report, and write the plan as it may go on.
    files = {
        MEASURED: measured.model_dump_json(indent=1),
        PAGE: gate_page(plan, measured, judged, verdicts, reforks),
        **{f"refork-{name}.json": each.text for name, each in reforks.items()},
    }
    report = _report(runner, sources, judged, verdicts, files)
    kept, notes = _kept(teachers, verdicts), _notes(judged, verdicts)
    after = _plan_after(runner, plan, kept, notes, sources, reviewed=reviewed)
    return Gated(plan=after, report=report, teachers=verdicts)


def leave_unmeasured(
    runner: StepRunner, plan: Plan, ladder_stages: int = 1, *, reviewed: bool = False
) -> Gated:
    """Pass the plan on its records alone; a finding says that it was not measured.

    The same holds for a staged ladder: its rungs are then spaced by steps.
    """
    sources = (_checked(runner, plan),)
    teachers = judged_teachers(plan)
    verdicts = [
        TeacherVerdict(name=teacher.name, domain=teacher.domain, verdict=Verdict.UNKNOWN)
        for teacher in teachers
    ]
    notes = [not_measured(teacher.reference) for teacher in teachers]
    notes += [_by_steps(teacher, ladder_stages) for teacher in teachers if ladder_stages > 1]
    after = _plan_after(runner, plan, plan.teachers, notes, sources, reviewed=reviewed)
    report = _report(runner, sources, {}, verdicts, {PAGE: unmeasured_page(plan)})
    return Gated(plan=after, report=report, teachers=verdicts)


def _checked(runner: StepRunner, plan: Plan) -> Input:
    """Return the plan as an input, unchanged since it was stored and without a recalled release."""
    refuse_changed(runner, plan)
    refuse_recalled(runner, plan)
    assert plan.artifact is not None
    return Input.of("plan", plan.artifact)


def _judged(plan: Plan, measured: ProbeResult) -> dict[str, Judged]:
    """Return the verdict on each teacher that was measured, by name."""
    return {
        teacher.name: judge(each, teacher.reference, GateSettings())
        for teacher, each in zip(judged_teachers(plan), measured.teachers, strict=True)
    }


def _reforks(
    runner: StepRunner, plan: Plan, judged: Mapping[str, Judged], sources: tuple[Input, ...]
) -> dict[str, Requested]:
    """Return the requests to the owners of teachers that another climb would help."""
    return {
        teacher.name: request_refork(runner, plan, teacher, judged[teacher.name].reasons, sources)
        for teacher in judged_teachers(plan)
        if would_help(runner, plan, teacher, judged[teacher.name])
    }


def _kept(
    teachers: Sequence[PlannedTeacher], verdicts: Sequence[TeacherVerdict]
) -> list[PlannedTeacher]:
    dropped = {verdict.name for verdict in verdicts if verdict.done is Remedy.DROP}
    kept = [teacher for teacher in teachers if teacher.name not in dropped]
    if not kept:
        raise RefusedError(
            "no-fitting-teacher",
            "no teacher of this plan fits, so there is nothing to merge: the gate's page gives "
            "the reasons for each teacher (provost gate)",
        )
    return kept


def _notes(judged: Mapping[str, Judged], verdicts: Sequence[TeacherVerdict]) -> list[Finding]:
    """Return all reasons; those of a teacher with a remedy, or left out, refuse nothing."""
    helped = {verdict.name for verdict in verdicts if verdict.done is not Remedy.NONE}
    return [
        replace(note, severity="note") if name in helped else note
        for name, each in judged.items()
        for note in each.reasons
    ]


def _by_steps(teacher: PlannedTeacher, num_stages: int) -> Finding:
    steps = ", ".join(str(staged.rung.step) for staged in earlier_rungs(teacher, num_stages))
    return Finding(
        code="ladder-by-steps",
        severity="note",
        subject=teacher.reference,
        evidence=f"the distances of its rungs were not measured, so its {num_stages} stages are "
        f"spaced by optimizer steps: {steps}, then the teacher",
        next_step="set gate_prompts_per_domain to 64: the rungs are then chosen by their KL, for a "
        "forward pass each",
    )


def _plan_after(
    runner: StepRunner,
    plan: Plan,
    teachers: Sequence[PlannedTeacher],
    notes: Sequence[Finding],
    sources: tuple[Input, ...],
    *,
    reviewed: bool,
) -> Plan:
    changes = {
        "teachers": list(teachers),
        "notes": [*plan.notes, *notes],
        "reviewed": reviewed,
    }
    after = plan.model_copy(update={**changes, "artifact": None, "waivers": []})
    return after.model_copy(update={"artifact": store_plan(runner, after, after=sources)})


def admit(runner: StepRunner, gated: Gated, refuse_from: Level, waivers: Sequence[str]) -> Gated:
    """Return the plan that passed, with its waivers, or refuse it.

    Raises:
        MisfitError: if a finding that counts is not waived.
        LineageError: for an invalid waiver.
    """
    plan = decide(runner, gated.plan, refuse_from, waivers)
    return gated.model_copy(update={"plan": plan})


def _verdict(
    teacher: PlannedTeacher,
    found: tuple[Judged, TeacherMeasure],
    on_misfit: OnMisfit,
    num_stages: int,
    reforks: Mapping[str, Requested],
) -> TeacherVerdict:
    judged, measure = found
    refork = reforks.get(teacher.name)
    lead, low, high = _lead(measure.scores)
    return TeacherVerdict(
        name=teacher.name,
        domain=teacher.domain,
        verdict=judged.verdict,
        lead=lead,
        lead_low=low,
        lead_high=high,
        proposed=judged.remedy,
        done=applied_remedy(judged, on_misfit),
        ladder=[
            MeasuredRung(step=staged.rung.step, kl=staged.kl)
            for staged in earlier_rungs(teacher, num_stages)
            if staged.kl is not None
        ],
        refork=refork.stored if refork else None,
    )


def _lead(scores: Scores) -> tuple[float, float, float] | tuple[None, None, None]:
    """Return the teacher's lead with its 95 % interval; None where it is not finite."""
    reach = Z * scores.error
    lead = (scores.difference, scores.difference - reach, scores.difference + reach)
    return lead if all(map(math.isfinite, lead)) else (None, None, None)


def _report(
    runner: StepRunner,
    sources: tuple[Input, ...],
    judged: Mapping[str, Judged],
    verdicts: Sequence[TeacherVerdict],
    files: Mapping[str, str],
) -> Artifact:
    """Store the page and the numbers as one recorded folder."""
    document: dict[str, JsonValue] = {
        "teachers": [verdict.model_dump(mode="json") for verdict in verdicts],
        "judged": {name: each.model_dump(mode="json") for name, each in judged.items()},
    }
    derivation = Derivation(
        project=runner.project,
        kind="gate",
        inputs=sources,
        source=source_digest("gate", "reports"),
        settings=document,
        seed=0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        measurements.add(0, {f"lead/{v.name}": v.lead for v in verdicts if v.lead is not None})
        out = folder / "gate"
        out.mkdir()
        (out / JUDGED).write_bytes(canonical_json(document))
        for name, text in files.items():
            (out / name).write_text(text, "utf-8")
        return out

    return runner.find_or_make(derivation, "gate", make, owner="consolidation")


def read_page(runner: StepRunner, report: Artifact) -> str:
    """Return the page of a stored gate report."""
    return (runner.store.tree(report.digest) / PAGE).read_text("utf-8")
