"""Corrects the calibration by past outcomes: which outcomes count, and how they move it.

Outcomes in this store with the same round settings move the regression's bias and widen its spread.
The estimate shrinks to the built-in calibration, which counts as ``prior_weight`` outcomes (k).
With n outcomes, the mean prediction moves n / (n + k) of the way to the actual mean. The variance
is the weighted mean of the built-in one, with weight k, and the n squared residuals, and never
below the built-in one. The features' weights stay as they are: merges that passed the gate are a
selected sample, which says little about the differences between teachers.
"""

import json
import math
from collections.abc import Iterator, Sequence
from statistics import fmean

from pydantic import JsonValue, ValidationError

from lineage.compatibility.collect import family_artifacts
from lineage.digest import canonical_json
from lineage.frozen import respelled_deep
from lineage.graph.graph import Lineage
from lineage.records.record import Input
from lineage.registry.registry import Registry
from lineage.registry.valid_recalls import Used, recalls_of
from tasks.contracts.handover import Plan, Remedy, Verdict
from tasks.gate.measured import GateDocument, ProbeResult, TeacherMeasure
from tasks.gate.outcome import KIND, TeacherOutcome
from tasks.gate.prediction import Calibration, features, predict
from tasks.gate.probe_step import MEASURED
from tasks.gate.verdict import GateSettings
from tasks.platform.step_runner import StepRunner

_FAR = 3.0
"""Maximum shift of the bias in logits, a factor of 20 in the odds, so that an unreachable mean does
not send it to infinity."""
_HALVINGS = 60


class PastOutcome(GateDocument):
    """One teacher of an earlier consolidation: its measurements and its result."""

    teacher: str
    """Release of the teacher, such as teacher.math@3."""
    record: str
    """Record of the comparison."""
    artifact: str
    measure: TeacherMeasure
    actual: float
    """The student's normalized score in the teacher's domain."""

    @property
    def share(self) -> float:
        """The result, clipped to the regression's range from 0 to 1."""
        return min(1.0, max(0.0, self.actual))


class UsedOutcome(GateDocument):
    """One outcome, beside the prediction of the built-in calibration."""

    teacher: str
    record: str
    expected: float
    came: float


class Recalibration(GateDocument):
    """Summary of a recalibration by this store's outcomes, for page and JSON."""

    found: int
    """Number of outcomes with the same round settings, without recalled ones."""
    needed: int
    used: tuple[UsedOutcome, ...] = ()
    """The outcomes that were used; empty below the minimum number."""
    bias: float = 0.0
    """Shift of the regression's bias, in logits."""
    spread: float = 0.0
    """Standard deviation behind the interval, after recalibration."""


def recalibrate(
    calibration: Calibration, past: Sequence[PastOutcome], settings: GateSettings
) -> tuple[Calibration, Recalibration]:
    """Return the calibration after recalibration by the outcomes, and its summary.

    With fewer than ``settings.least_outcomes`` it is the built-in calibration.
    """
    summary = Recalibration(found=len(past), needed=settings.least_outcomes)
    if len(past) < settings.least_outcomes:
        return calibration, summary
    prior = settings.prior_weight
    expected = [predict(each.measure, calibration).score for each in past]
    share = len(past) / (len(past) + prior)
    wanted = fmean(expected) + share * (fmean(each.share for each in past) - fmean(expected))
    moved = _with_mean(calibration, past, wanted)
    squares = [(each.share - predict(each.measure, moved).score) ** 2 for each in past]
    variance = (prior * calibration.spread**2 + sum(squares)) / (prior + len(past))
    spread = max(calibration.spread, math.sqrt(variance))
    seen = [features(each.measure) for each in past]
    after = moved.model_copy(
        update={
            "spread": spread,
            # A teacher like these no longer counts as unlike the calibrated cases.
            "least": {n: min(v, *(row[n] for row in seen)) for n, v in moved.least.items()},
            "most": {n: max(v, *(row[n] for row in seen)) for n, v in moved.most.items()},
        }
    )
    used = tuple(
        UsedOutcome(teacher=each.teacher, record=each.record, expected=score, came=each.actual)
        for each, score in zip(past, expected, strict=True)
    )
    changes = {"used": used, "bias": after.bias - calibration.bias, "spread": spread}
    return after, summary.model_copy(update=changes)


def _with_mean(calibration: Calibration, past: Sequence[PastOutcome], wanted: float) -> Calibration:
    """Return the calibration with the bias that predicts ``wanted`` for the outcomes on average.

    The prediction rises with the bias, so bisection finds it.
    """
    low, high = calibration.bias - _FAR, calibration.bias + _FAR
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tried = calibration.model_copy(update={"bias": middle})
        if fmean(predict(each.measure, tried).score for each in past) < wanted:
            low = middle
        else:
            high = middle
    return calibration.model_copy(update={"bias": (low + high) / 2})


def recipe_with(recipe: str, ladder_stages: int, max_new_tokens: int) -> str:
    """Return a recipe in the form of ``RoundForm.recipe``, with two of its settings changed."""
    settings = json.loads(recipe)
    settings["sampling"]["max_new_tokens"] = max_new_tokens
    return canonical_json({**settings, "ladder_stages": ladder_stages}).decode()


def _present(recipe: JsonValue) -> JsonValue:
    """Return a recorded recipe with the present names of its settings."""
    if not isinstance(recipe, str) or not recipe:
        return recipe
    return canonical_json(respelled_deep(json.loads(recipe))).decode()


def outcomes(runner: StepRunner, plan: Plan, recipe: str) -> list[PastOutcome]:
    """Return the outcomes of earlier merges with the same settings, in the order of their records.

    These outcomes are left out: the plan's own (a rerun would learn from itself), those of a
    recalled student or teacher, teachers with a remedy or without a prediction, and measurements by
    another version of the gate. A merge that was compared twice counts once.

    Args:
        runner: The runner of the store.
        plan: The plan that is judged.
        recipe: Settings of the round, from ``RoundForm.recipe``; the kept share depends on them.
    """
    lineage, registry = Lineage(runner.store), Registry(runner.store)
    found: dict[tuple[str, str], PastOutcome] = {}
    for record in lineage.index.of_kind(KIND):
        comparison = runner.records.read(record)
        if _present(comparison.settings.get("recipe")) != recipe:
            continue
        # Another project's word about what came of a merge would change this one's verdicts.
        if comparison.project not in {"", runner.project}:
            continue
        inputs = {item.role: item for item in comparison.inputs}
        planned, scorecard = _plan_of(runner, inputs["gate"]), inputs["scorecard"]
        if plan.artifact and planned.artifact == plan.artifact.digest:
            continue
        # Not through the gate's report, which may have learned from others.
        ends = (planned, scorecard)
        family = {record for end in ends for record in _family(lineage, end)}
        taken = family_artifacts(runner.records, family)
        taken |= {Used(end.artifact, end.record) for end in ends}
        users = lineage.index.rows(lineage.index.users(scorecard.artifact))
        # What others made of the scorecard, and recalled, says nothing about the merge.
        students = [
            row for row in users if runner.records.read(row.digest).project in {"", runner.project}
        ]
        if recalls_of(registry, {*taken, *(Used(row.output, row.digest) for row in students)}):
            continue
        for each in _of_record(runner, record, inputs["gate"]):
            found.setdefault((scorecard.artifact, each.teacher), each)
    return list(found.values())


def _of_record(runner: StepRunner, record: str, gate: Input) -> Iterator[PastOutcome]:
    attested = runner.records.output(record)
    if attested is None:
        return
    rows = json.loads(runner.store.get_bytes(attested.output))
    try:
        text = (runner.store.tree(gate.artifact) / MEASURED).read_text("utf-8")
        measured = {each.name: each for each in ProbeResult.model_validate_json(text).teachers}
    except (FileNotFoundError, ValidationError):
        return  # not measured, or in an older format
    for row in rows:
        outcome = TeacherOutcome.model_validate({k: v for k, v in row.items() if k != "surprised"})
        # A waived teacher of which the gate could not predict anything teaches it most.
        judged = outcome.predicted is not None or outcome.verdict is Verdict.UNKNOWN
        expected = judged and outcome.done is Remedy.NONE
        if expected and outcome.actual is not None and outcome.name in measured:
            yield PastOutcome(
                teacher=outcome.reference,
                record=record,
                artifact=attested.output,
                measure=measured[outcome.name],
                actual=outcome.actual,
            )


def _plan_of(runner: StepRunner, gate: Input) -> Input:
    """Return the plan of a gate's report, before the gate."""
    [plan] = [item for item in runner.records.read(gate.record).inputs if item.role == "plan"]
    return plan


def _family(lineage: Lineage, end: Input) -> list[str]:
    return [end.record, *lineage.ancestors(end.record)]
