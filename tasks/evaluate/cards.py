"""Scorecards as steps: a teacher's beside its fork point, a consolidation's with its controls."""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from lineage.artifacts import Artifact
from lineage.digest import canonical_json
from lineage.records.record import Derivation, Input
from tasks.contracts.handover import Domain, Plan, PlannedTeacher
from tasks.contracts.planned import refuse_mixed
from tasks.evaluate.measure import Examiner, measure_all, read_measured
from tasks.evaluate.scorecard import Scorecard, make_scorecard
from tasks.evaluate.scores import FORK_POINT, STUDENT, Outcomes, PromptOutcome, ScorecardSettings
from tasks.evaluate.settings import CardSettings, EvaluationSettings
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner

Measurement = Mapping[str, Artifact]
"""Domain to the stored measurement of one checkpoint."""


def score_teacher(
    runner: StepRunner,
    fork_point: Artifact,
    teacher: Artifact,
    domain: Domain,
    settings: EvaluationSettings,
) -> Artifact:
    """Return the scorecard of a teacher beside its fork point, on its own held-out prompts."""
    name = domain.settings.name
    report(f"{name} evaluate", 0, 2, message="fork point")
    before = Examiner(runner, fork_point, settings).measure(
        name, domain.environment, domain.evaluation
    )
    report(f"{name} evaluate", 1, 2, message="teacher")
    after = Examiner(runner, teacher, settings).measure(
        name, domain.environment, domain.evaluation, domain.settings.system_prompt
    )
    report(f"{name} evaluate", 2, 2)
    card = CardSettings(sampling=settings.sampling, seed=settings.seed)
    return _card(
        runner, {FORK_POINT: {name: before}}, {name: {name: after}}, card, domain.settings.owner
    )


def score_consolidation(
    runner: StepRunner,
    plan: Plan,
    student: Artifact,
    controls: Mapping[str, Artifact],
    settings: EvaluationSettings,
    left_out: Mapping[str, str] | None = None,
) -> Artifact:
    """Return the scorecard of a consolidation: fork point, teachers, student and controls.

    Every teacher is measured on every domain, so that the card shows its effect on the others.
    ``left_out`` says by name why further controls could not be made.

    Raises:
        LineageError: for a plan that differs from the stored plan.
    """
    refuse_mixed(runner, plan)
    methods, teachers = measurements_of(runner, plan, student, controls, settings)
    card = CardSettings(sampling=settings.sampling, seed=settings.seed, left_out=left_out or {})
    return _card(runner, methods, teachers, card, "consolidation", plan.made_for)


def measurements_of(
    runner: StepRunner,
    plan: Plan,
    student: Artifact,
    controls: Mapping[str, Artifact],
    settings: EvaluationSettings,
) -> tuple[dict[str, Measurement], dict[str, Measurement]]:
    """Return the measurements by method and by teacher; missing ones are made now."""
    domains = [teacher.domain for teacher in plan.leads]

    def measured(
        checkpoint: Artifact, label: str, own: PlannedTeacher | None = None
    ) -> Measurement:
        found = measure_all(runner, checkpoint, plan, settings, label, own)
        return dict(zip(domains, found, strict=True))

    compared = {FORK_POINT: plan.fork_point, STUDENT: student, **controls}
    methods = {name: measured(checkpoint, name) for name, checkpoint in compared.items()}
    teachers = {
        teacher.domain: measured(teacher.checkpoint, f"{teacher.domain} teacher", teacher)
        for teacher in plan.leads
    }
    return methods, teachers


def read_scorecard(runner: StepRunner, artifact: Artifact) -> Scorecard:
    """Return a stored scorecard."""
    return Scorecard.from_document(json.loads(runner.store.get_bytes(artifact.digest)))


def _card(
    runner: StepRunner,
    methods: Mapping[str, Measurement],
    teachers: Mapping[str, Measurement],
    settings: CardSettings,
    owner: str,
    notes: Mapping[str, JsonValue] | None = None,
) -> Artifact:
    labeled = {
        **{f"method.{name}": row for name, row in methods.items()},
        **{f"teacher.{name}": row for name, row in teachers.items()},
    }
    derivation = Derivation(
        project=runner.project,
        kind="scorecard",
        inputs=tuple(
            Input.of(label, item, domain)
            for label, row in labeled.items()
            for domain, item in row.items()
        ),
        source=source_digest("evaluate", "statistics"),
        settings=settings.model_dump(mode="json"),
        seed=settings.seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        card = make_scorecard(
            Outcomes(
                methods={name: _outcomes(runner, row) for name, row in methods.items()},
                teachers={name: _outcomes(runner, row) for name, row in teachers.items()},
                settings=ScorecardSettings(
                    temperature=settings.sampling.temperature,
                    samples=1,
                    seed=settings.seed,
                    max_tokens=settings.sampling.max_new_tokens,
                    passed={domain: 1.0 for row in teachers.values() for domain in row},
                ),
                left_out=settings.left_out,
            )
        )
        for name, scores in card.everything().items():
            measurements.add(
                0, {f"{method}/{name}": each.mean for method, each in scores.methods.items()}
            )
        path = folder / "scorecard.json"
        path.write_bytes(canonical_json(card.document()))
        return path

    return runner.find_or_make(derivation, "scorecard", make, owner, notes)


def _outcomes(runner: StepRunner, row: Measurement) -> dict[str, tuple[PromptOutcome, ...]]:
    return {domain: read_measured(runner, item).outcomes for domain, item in row.items()}
