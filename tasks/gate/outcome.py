"""After the fact: the gate's verdict on each teacher, beside what the consolidation got."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import JsonValue, model_validator

from lineage.artifacts import Artifact, Student, parse_manifest
from lineage.digest import canonical_json
from lineage.frozen import without
from lineage.records.record import Derivation, Input
from tasks.contracts.handover import RETIRED, Plan, Remedy, TeacherVerdict, Verdict
from tasks.contracts.planned import input_of, plan_of, verdicts_of
from tasks.gate.measured import GateDocument
from tasks.onpolicy.settings import recipe
from tasks.platform.measurements import Measurements
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner

KIND = "gate_outcome"
STUDENT = "student"


class TeacherOutcome(GateDocument):
    """One teacher's domain, before and after."""

    name: str
    reference: str
    """Its release, such as teacher.math@3."""
    domain: str
    verdict: Verdict
    done: Remedy
    actual: float | None
    """The student's normalized score in the domain; None where the teacher gained nothing."""

    @model_validator(mode="before")
    @classmethod
    def _without_predictions(cls, data: object) -> object:
        return without(data, RETIRED | {"surprised"})


def compare_with_outcome(runner: StepRunner, student: Artifact) -> Artifact:
    """Return the stored comparison of verdicts and normalized scores, teacher by teacher.

    ``student`` is the published manifest. The gate's report, the scorecard, the plan and the
    round's settings are taken from its records and checked.

    Raises:
        LineageError: for a manifest that is not a student's, or a student without a gate.
    """
    manifest = parse_manifest(runner.store.get_bytes(student.digest), Student)
    gate, plan = input_of(runner, student, "gate"), plan_of(runner, student)
    derivation = Derivation(
        project=runner.project,
        kind=KIND,
        inputs=(gate, Input.of("scorecard", manifest.scorecard)),
        source=source_digest("gate"),
        # How much arrives depends on the round: outcomes under other settings say nothing of it.
        settings={"recipe": recipe_of(runner, manifest.checkpoint)},
        seed=0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        card = json.loads(runner.store.get_bytes(manifest.scorecard.digest))
        outcomes = list(_outcomes(plan, verdicts_of(runner, student), card))
        actual = {each.name: each.actual for each in outcomes}
        measurements.add(0, {f"actual/{name}": v for name, v in actual.items() if v is not None})
        rows: list[JsonValue] = [each.model_dump(mode="json") for each in outcomes]
        path = folder / "outcome.json"
        path.write_bytes(canonical_json(rows))
        return path

    return runner.find_or_make(derivation, KIND, make, owner="consolidation", notes=plan.made_for)


def _outcomes(
    plan: Plan, verdicts: Sequence[TeacherVerdict], card: dict[str, JsonValue]
) -> Iterator[TeacherOutcome]:
    references = {teacher.name: teacher.reference for teacher in plan.teachers}
    for verdict in verdicts:
        if verdict.done is Remedy.DROP:
            continue
        yield TeacherOutcome(
            name=verdict.name,
            reference=references[verdict.name],
            domain=verdict.domain,
            verdict=verdict.verdict,
            done=verdict.done,
            actual=_actual(card, verdict.domain),
        )


def recipe_of(runner: StepRunner, student: Artifact) -> str:
    """Return the settings of the rounds that made a student, in the form of ``RoundForm.recipe``.

    "" if the rounds differ in their settings, because no launch can be like that.
    """
    found: list[dict[str, JsonValue]] = []
    record = student.record
    while record:
        made = runner.records.read(record)
        if made.kind != "mopd":
            break
        found.append(made.settings)
        record = next((item.record for item in made.inputs if item.role == "student"), "")
    texts = {recipe(settings, len(found)) for settings in found}
    return texts.pop() if len(texts) == 1 else ""


def _actual(card: dict[str, JsonValue], domain: str) -> float | None:
    """Return the student's normalized score of a domain from a scorecard's document."""
    scores = card[domain]
    assert isinstance(scores, dict)
    normalized = scores["normalized"]
    assert isinstance(normalized, dict)
    student = normalized[STUDENT]
    assert isinstance(student, dict)
    mean = student["mean"]
    assert mean is None or isinstance(mean, int | float)
    return mean
