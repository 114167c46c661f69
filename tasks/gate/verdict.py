"""Judges a teacher by its measurements: verdict, findings and remedy.

Pure. Every threshold is in ``GateSettings`` with its reason and source.
"""

from collections.abc import Iterator
from typing import Literal

from pydantic import ConfigDict, Field

from lineage.compatibility.checks import Finding
from tasks.contracts.handover import OnMisfit, Remedy, Verdict
from tasks.gate.measured import GateDocument, SwapRow, TeacherMeasure
from tasks.gate.prediction import Calibration, Prediction, predict

Severity = Literal["refusal", "warning", "note"]


class GateSettings(GateDocument):
    """Thresholds of the verdict."""

    least_predicted: float = Field(default=0.85, gt=0, lt=1)
    """Minimum predicted gain transfer, relative to a teacher from the student's own fork point.
    Losing more than 0.15 is a misfit: the next best choice, leaving a domain to a weaker teacher,
    costs less."""
    least_from_uniform: float = Field(default=0.05, ge=0)
    """Minimum distance from -ln V in nats; below it, the weights are lost (Relax issue 287)."""
    most_unsteady: float = Field(default=1e-3, gt=0)
    """Maximum difference of two calls in nats: served replicas have differed by more than the
    signal (SkyRL issue 2256)."""
    clear: float = Field(default=2.0, gt=0)
    """Standard errors by which a teacher must beat the student; less may be chance."""
    learned: float = Field(default=0.02, ge=0)
    """KL in nats per token below which the student has learned a teacher. The demo's students start
    at 0.14 to 0.6 from their teachers and end at 0.002 to 0.011; a later round keeps that."""

    least_outcomes: int = Field(default=8, ge=1)
    """Minimum number of outcomes that correct the prediction: the error of their mean is then a
    third of their spread (1 / sqrt(8)). Two consolidations of four teachers give as many."""
    prior_weight: int = Field(default=8, ge=1)
    """Number of outcomes that the built-in calibration counts as. Our choice: it was fitted on
    more, but on one small testbed, and at twice the minimum your own outcomes have two thirds of
    the weight."""


class Judged(GateDocument):
    """One teacher's verdict, with reasons and remedy."""

    model_config = ConfigDict(serialize_by_alias=True)

    name: str
    verdict: Verdict
    prediction: Prediction | None
    """The prediction; None if health or scores decide already, or if nothing is left to learn. With
    the verdict ``unknown`` it is a guess, which recalibration may come to know better."""
    reasons: tuple[Finding, ...]
    remedy: Remedy = Field(serialization_alias="cure")
    """The proposed remedy; ``none`` for a teacher that fits. Stored reports call it ``cure``."""


def judge(
    measure: TeacherMeasure, subject: str, settings: GateSettings, calibration: Calibration
) -> Judged:
    """Return the verdict on one teacher, by measurement alone.

    Args:
        measure: Measurements of the probe.
        subject: Name of the teacher in findings, such as teacher.math@3.
        settings: The thresholds.
        calibration: Calibration of the prediction.
    """
    noted = [*_ancestry(measure, subject), *_other_words(measure, subject, settings)]
    learned = _has_learned(measure, settings)
    if learned:
        noted.append(Finding("nothing-left", "note", subject, _alike(measure), _KEEP))
    noted += _fork_point(measure, subject)
    decisive = [*_decisive(measure, subject, settings, learned=learned)]
    if decisive:
        return Judged(
            name=measure.name,
            verdict=Verdict.DOES_NOT_FIT,
            prediction=None,
            reasons=(*decisive, *noted),
            remedy=Remedy.DROP,
        )
    if learned:
        return Judged(
            name=measure.name,
            verdict=Verdict.FITS,
            prediction=None,
            reasons=tuple(noted),
            remedy=Remedy.NONE,
        )
    prediction = predict(measure, calibration)
    if prediction.outside:
        unknown = Finding(
            "gate-unknown", "refusal", subject, _unlike(measure, prediction), _BY_HAND
        )
        return Judged(
            name=measure.name,
            verdict=Verdict.UNKNOWN,
            prediction=prediction,
            reasons=(unknown, *noted),
            remedy=Remedy.WARM_UP,
        )
    if prediction.score >= settings.least_predicted:
        return Judged(
            name=measure.name,
            verdict=Verdict.FITS,
            prediction=prediction,
            reasons=tuple(noted),
            remedy=Remedy.NONE,
        )
    misfit = Finding("measured-misfit", "refusal", subject, _short(prediction), _WARM_UP)
    return Judged(
        name=measure.name,
        verdict=Verdict.FITS_AFTER_REMEDY,
        prediction=prediction,
        reasons=(misfit, *noted),
        remedy=Remedy.WARM_UP,
    )


_WARM_UP = (
    "warm the student up on this teacher's own answers before the merge (on_misfit=remedy), ask "
    "its team to climb again from the student's start, or leave it out"
)
_BY_HAND = (
    "warm the student up on this teacher's own answers before the merge (on_misfit=remedy), or "
    "check the worst tokens on the gate's page and accept the finding (provost waive)"
)
_OTHER_WORDS = (
    "compare its worst tokens on the gate's page with the student's answers; warm the student up "
    "on its answers before the merge (on_misfit=remedy)"
)
_KEEP = "no action; in a later round this teacher keeps what an earlier round taught"
_LEAVE_OUT = "leave it out, or ask its owner to check the checkpoint and release it again"


def _has_learned(measure: TeacherMeasure, settings: GateSettings) -> bool:
    """Return whether the student has learned this teacher already, in words and in score.

    Another domain's teacher may be as close, so the swap test must have cleared this one.
    """
    scores, swap = measure.scores, measure.swap
    alike = measure.reading.finite and measure.reading.kl < settings.learned
    as_well = abs(scores.difference) <= settings.clear * scores.error
    return alike and as_well and swap is not None and not swap.suspect


def _decisive(
    measure: TeacherMeasure, subject: str, settings: GateSettings, *, learned: bool
) -> Iterator[Finding]:
    """Yield the findings that no prediction can outweigh."""
    reading, scores, swap = measure.reading, measure.scores, measure.swap
    if not reading.finite:
        evidence = "its probabilities are not finite"
        yield Finding("teacher-not-finite", "refusal", subject, evidence, _LEAVE_OUT)
    if not reading.from_uniform > settings.least_from_uniform:
        evidence = (
            f"its log-probabilities are {reading.from_uniform:.2g} nats from uniform on average: "
            "its weights were lost or never loaded"
        )
        yield Finding("teacher-uniform", "refusal", subject, evidence, _LEAVE_OUT)
    if not reading.unsteady <= settings.most_unsteady:
        evidence = f"two calls on the same tokens differ by {reading.unsteady:.2g} nats"
        step = "serve it from one replica without dynamic batching, or load it locally"
        yield Finding("teacher-unsteady", "refusal", subject, evidence, step)
    ahead = _is_ahead(measure, settings)
    if swap is not None and swap.suspect and not ahead:
        evidence = f"{_better_explained(measure, swap)}: paths may be swapped"
        yield Finding(
            "swapped-path", "refusal", subject, evidence, "compare both releases' checkpoints"
        )
    if not learned and not ahead:
        evidence = (
            f"on {scores.prompts} prompts it scores {scores.teacher:.2f} and the student "
            f"{scores.student:.2f}: it has nothing to teach there"
        )
        yield Finding("no-gain", "refusal", subject, evidence, _LEAVE_OUT)


def _is_ahead(measure: TeacherMeasure, settings: GateSettings) -> bool:
    """Return whether the teacher clearly scores more than the student."""
    return measure.scores.difference > settings.clear * measure.scores.error


def _other_words(
    measure: TeacherMeasure, subject: str, settings: GateSettings
) -> Iterator[Finding]:
    """Yield that a teacher scores more but finds the domain's well-graded answers unlikely.

    A teacher with a swapped path does not know the domain and would not score more. So this one
    solves it in other words than the student; the prediction says how much that costs.
    """
    swap = measure.swap
    if swap is None or not swap.suspect or not _is_ahead(measure, settings):
        return
    evidence = (
        f"{_better_explained(measure, swap)}, and yet it scores {measure.scores.difference:.2f} "
        "more than the student: it phrases its answers differently"
    )
    yield Finding("other-words", "warning", subject, evidence, _OTHER_WORDS)


def _better_explained(measure: TeacherMeasure, swap: SwapRow) -> str:
    return (
        f"{swap.suspect} explains the well-graded answers of {measure.domain} better than it does "
        f"({swap.log_likelihood[swap.suspect]:.2f} against "
        f"{swap.log_likelihood[measure.name]:.2f} nats per token)"
    )


def _ancestry(measure: TeacherMeasure, subject: str) -> Iterator[Finding]:
    found = measure.ancestry
    if found is None or not found.contradicted:
        return
    evidence = f"its weights do not come from {found.declared}"
    if found.projection is not None:
        share = f"{found.projection:.0%}"
        evidence += f" (it keeps {share} of what that learned; a child keeps nearly all)"
    if found.nearest != found.declared:
        evidence += f"; {found.nearest} is nearer"
    step = "ask its owner what it was trained from; until then its records prove nothing"
    yield Finding("contradicted-ancestry", "refusal", subject, evidence, step)


def _fork_point(measure: TeacherMeasure, subject: str) -> Iterator[Finding]:
    """Yield a finding if the precursor's weights contradict the declared fork point."""
    found = measure.fork_point
    if found is None or not found.contradicted:
        return
    evidence = f"its precursor's weights do not come from the declared fork point ({found.summary})"
    step = (
        "ask its owner which checkpoint it climbed from; a teacher from another fork point has to "
        "climb again from the student's start"
    )
    yield Finding("contradicted-fork-point", "refusal", subject, evidence, step)


def _alike(measure: TeacherMeasure) -> str:
    scores = measure.scores
    return (
        f"on {scores.prompts} prompts it scores {scores.teacher:.2f} and the student "
        f"{scores.student:.2f}, at a KL of {measure.reading.kl:.3f} nats per token: the student "
        "has learned from it already"
    )


def _short(prediction: Prediction) -> str:
    return (
        f"the student is expected to take {prediction.score:.0%} of its gain "
        f"({prediction.low:.0%} to {prediction.high:.0%})"
    )


def _unlike(measure: TeacherMeasure, prediction: Prediction) -> str:
    if measure.swap is None:
        return (
            f"the student has too few correct answers in {measure.domain} to measure how likely "
            "the teacher finds them, which the prediction depends on most"
        )
    return (
        f"{', '.join(prediction.outside)} are far outside the merges that calibrated the gate, so "
        "the gate cannot predict"
    )


def applied_remedy(judged: Judged, on_misfit: OnMisfit) -> Remedy:
    """Return what this run does about the teacher: its remedy, if the run takes one, or a drop."""
    refused = any(note.severity == "refusal" for note in judged.reasons)
    if not refused or on_misfit is OnMisfit.REFUSE:
        return Remedy.NONE
    if on_misfit is OnMisfit.DROP:
        return Remedy.DROP
    return Remedy.NONE if judged.remedy is Remedy.DROP else judged.remedy
