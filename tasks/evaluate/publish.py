"""The report of a published student: a page, a picture and the numbers, as one stored folder."""

import json
import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from lineage.artifacts import Artifact, Student, read_manifest
from lineage.graph.graph import Lineage
from lineage.records.record import Attestation, Derivation, Input
from lineage.view.picture import draw, draw_narrow, page
from tasks.contracts.handover import Plan
from tasks.contracts.planned import plan_of
from tasks.evaluate.cards import measurements_of, read_scorecard
from tasks.evaluate.cost import cost_of_methods
from tasks.evaluate.measure import Example, read_measured
from tasks.evaluate.plot import write_plot
from tasks.evaluate.report import (
    Provenance,
    ReportInput,
    SampleResponse,
    SampleRollout,
    Speech,
    render_report,
)
from tasks.evaluate.scores import FORK_POINT, STUDENT, TEACHER
from tasks.evaluate.sections import making_of
from tasks.evaluate.settings import CardSettings, EvaluationSettings
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import git_commit, git_difference, package_versions, source_digest
from tasks.platform.step_runner import StepRunner, now
from tasks.reports.curves import Curve, CurveGroup

NO_GPU = "GPU: according to the records, no step of this student used one."
NO_CLUSTER = "Flyte cluster: according to the records, all steps ran in flytekit's local execution."


def not_run(attestations: Iterable[Attestation]) -> tuple[str, ...]:
    """Return a sentence for each component that no attestation shows in use."""
    known = list(attestations)
    on_gpu = any(attestation.notes.get("gpu") for attestation in known)
    on_cluster = any(attestation.flyte or attestation.execution for attestation in known)
    return (*([] if on_gpu else [NO_GPU]), *([] if on_cluster else [NO_CLUSTER]))


def make_report(runner: StepRunner, student: Artifact) -> Artifact:
    """Return a folder with ``report.html``, ``scorecard.png`` and ``scorecard.json``.

    ``student`` is the published manifest, not the checkpoint. Its plan, and how it was sampled, are
    read from its records.
    """
    manifest = read_manifest(runner.store, student.digest, Student)
    plan = plan_of(runner, student)
    card_made = runner.records.read(manifest.scorecard.record)
    settings = CardSettings.model_validate(card_made.settings).evaluation
    derivation = Derivation(
        project=runner.project,
        kind="report",
        inputs=(Input.of("student", student),),
        source=source_digest("evaluate", "reports", "statistics"),
        settings=settings.model_dump(mode="json"),
        seed=settings.seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        report("report", 0, 1)
        card = read_scorecard(runner, manifest.scorecard)
        out = folder / "report"
        out.mkdir()
        (out / "scorecard.json").write_text(
            json.dumps(card.document(), indent=1) + "\n", encoding="utf-8"
        )
        write_plot(card, out / "scorecard.png")
        graph = Lineage(runner.store).graph(student.record)
        content = ReportInput(
            created=now(),
            scorecard=card,
            curves=tuple(_curves(runner, plan, manifest)),
            rollouts=tuple(_rollouts(runner, plan, manifest, settings)),
            lineage=draw(graph),
            lineage_narrow=draw_narrow(graph),
            provenance=_provenance(runner, plan, manifest, student, settings),
            costs=cost_of_methods(
                runner.records, plan, {STUDENT: manifest.checkpoint, **manifest.controls}
            ),
            making=making_of(runner, plan, manifest, student),
        )
        (out / "report.html").write_text(render_report(content), encoding="utf-8")
        report("report", 1, 1)
        return out

    return runner.find_or_make(
        derivation, "report", make, owner="consolidation", notes=plan.made_for
    )


def lineage_page(runner: StepRunner, student: Artifact) -> str:
    """Return a student's graph as a page, for the Flyte Deck; all text is escaped."""
    return page(Lineage(runner.store).graph(student.record), "student")


def _curves(runner: StepRunner, plan: Plan, manifest: Student) -> Iterator[CurveGroup]:
    """Yield the reward of each climb, and the KL to each teacher over the MOPD steps."""
    climbs = [
        Curve(name=teacher.domain, points=series["reward"])
        for teacher in plan.leads
        if "reward" in (series := _series(runner, teacher.checkpoint.record))
    ]
    if climbs:
        yield CurveGroup(
            title="Reward of each climb", unit="share solved", curves=tuple(climbs), high=1.0
        )
    course = _series(runner, manifest.checkpoint.record)
    divergences = [
        Curve(name=name.removeprefix("kl/"), points=points)
        for name, points in sorted(course.items())
        if name.startswith("kl/")
    ]
    if divergences:
        yield CurveGroup(
            title="Reverse KL from the student to each teacher",
            unit="nats per token",
            curves=tuple(divergences),
        )


def _series(runner: StepRunner, record: str) -> dict[str, tuple[tuple[float, float], ...]]:
    """Return each metric of a record over its steps."""
    attestation = runner.records.output(record)
    if attestation is None or not attestation.metrics:
        return {}
    series: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for line in runner.store.get_bytes(attestation.metrics).splitlines():
        row = json.loads(line)
        if not isinstance(row["value"], str):  # a number that is not finite is written as text
            series[row["name"]].append((float(row["step"]), float(row["value"])))
    return {name: tuple(points) for name, points in series.items()}


def _rollouts(
    runner: StepRunner, plan: Plan, manifest: Student, settings: EvaluationSettings
) -> Iterator[SampleRollout]:
    methods, teachers = measurements_of(
        runner, plan, manifest.checkpoint, manifest.controls, settings
    )
    for teacher in plan.leads:
        domain = teacher.domain
        answers = {
            FORK_POINT: _examples(runner, methods[FORK_POINT][domain]),
            TEACHER: _examples(runner, teachers[domain][domain]),
            STUDENT: _examples(runner, methods[STUDENT][domain]),
        }
        for prompt, example in answers[STUDENT].items():
            yield SampleRollout(
                domain=domain,
                messages=_speeches(example.messages),
                responses={
                    method: SampleResponse(
                        turns=_speeches(examples[prompt].turns),
                        score=examples[prompt].score,
                        reason=examples[prompt].reason,
                    )
                    for method, examples in answers.items()
                },
            )


def _examples(runner: StepRunner, measurement: Artifact) -> Mapping[str, Example]:
    return {example.prompt: example for example in read_measured(runner, measurement).examples}


def _speeches(spoken: Sequence[tuple[str, str]]) -> tuple[Speech, ...]:
    return tuple(Speech.model_validate({"role": role, "content": text}) for role, text in spoken)


def _attested(runner: StepRunner, student: Artifact) -> Iterator[Attestation]:
    """Yield the attestations of a student and of all its ancestors."""
    for record in (student.record, *Lineage(runner.store).ancestors(student.record)):
        attestation = runner.records.output(record)
        if attestation is not None:
            yield attestation


def _provenance(
    runner: StepRunner,
    plan: Plan,
    manifest: Student,
    student: Artifact,
    settings: EvaluationSettings,
) -> Provenance:
    teachers = {f"teacher {t.domain}": t.release.record for t in plan.leads}
    return Provenance(
        records={
            "student": student.record,
            "checkpoint": manifest.checkpoint.record,
            "fork point": plan.fork_point.record,
            **teachers,
        },
        commit=git_commit(),
        dirty=bool(git_difference()),
        seeds={"training": _seed(manifest), "evaluation": settings.seed},
        machine={
            "processor": platform.processor() or platform.machine(),
            "cores": str(os.cpu_count()),
            "python": platform.python_version(),
            **package_versions(),
        },
        not_run=not_run(_attested(runner, student)),
    )


def _seed(manifest: Student) -> int:
    seed = manifest.settings["seed"]
    assert isinstance(seed, int)
    return seed
