"""Judges a teacher by its measurements: verdict, findings and remedy.

Pure. Every threshold is in ``GateSettings`` with its reason and source. None was fitted to outcomes
of merges: the regression that was here ranked fresh cases no better than two tests do (see
docs/results/gate.md).
"""

import math
from collections.abc import Iterator
from typing import Literal

from pydantic import ConfigDict, Field

from lineage.compatibility.checks import Finding
from tasks.contracts.handover import OnMisfit, Remedy, Verdict
from tasks.gate.measured import LEAST_ROLLOUTS, GateDocument, SwapRow, TeacherMeasure
from tasks.model.relation import Ancestry

Severity = Literal["refusal", "warning", "note"]


class GateSettings(GateDocument):
    """Thresholds of the verdict."""

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


class Judged(GateDocument):
    """One teacher's verdict, with reasons and remedy."""

    model_config = ConfigDict(serialize_by_alias=True)

    name: str
    verdict: Verdict
    reasons: tuple[Finding, ...]
    remedy: Remedy = Field(serialization_alias="cure")
    """The proposed remedy; ``none`` for a teacher that fits. Stored reports call it ``cure``."""


def judge(measure: TeacherMeasure, subject: str, settings: GateSettings) -> Judged:
    """Return the verdict on one teacher, by measurement alone.

    Args:
        measure: Measurements of the probe.
        subject: Name of the teacher in findings, such as teacher.math@3.
        settings: The thresholds.
    """
    noted = [*_ancestry(measure, subject)]
    learned = _has_learned(measure, settings)
    if learned:
        noted.append(Finding("nothing-left", "note", subject, _alike(measure), _KEEP))
    noted += _fork_point(measure, subject)
    if decisive := [*_decisive(measure, subject, settings, learned=learned)]:
        verdict, remedy, found = Verdict.DOES_NOT_FIT, Remedy.DROP, decisive
    elif learned:
        verdict, remedy, found = Verdict.FITS, Remedy.NONE, []
    elif undecided := [*_undecided(measure, subject, settings)]:
        verdict, remedy, found = Verdict.UNKNOWN, Remedy.WARM_UP, undecided
    elif measure.swap is not None and measure.swap.suspect:
        verdict, remedy = Verdict.FITS_AFTER_REMEDY, Remedy.WARM_UP
        found = [_other_words(measure, measure.swap, subject)]
    else:
        verdict, remedy, found = Verdict.FITS, Remedy.NONE, []
    return Judged(name=measure.name, verdict=verdict, reasons=(*found, *noted), remedy=remedy)


_BY_HAND = (
    "warm the student up on this teacher's own answers before the merge (on_misfit=remedy), or "
    "check the worst tokens on the gate's page and accept the finding (provost waive)"
)
_WARM_UP = (
    "compare its worst tokens on the gate's page with the student's answers; warm the student up "
    "on its answers before the merge (on_misfit=remedy), ask its team to climb again from the "
    "student's start, or leave it out"
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
    """Yield the findings that no remedy helps."""
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
    if not learned and not scores.difference > 0:  # NaN too
        evidence = (
            f"on {scores.prompts} prompts it scores {scores.teacher:.2f} and the student "
            f"{scores.student:.2f}: it has nothing to teach there"
        )
        yield Finding("no-gain", "refusal", subject, evidence, _LEAVE_OUT)


def _undecided(measure: TeacherMeasure, subject: str, settings: GateSettings) -> Iterator[Finding]:
    """Yield what the gate's tests left open, for want of prompts or of right answers."""
    scores = measure.scores
    if not _is_ahead(measure, settings):
        evidence = (
            f"on {scores.prompts} prompts it scores {scores.teacher:.2f} and the student "
            f"{scores.student:.2f}: a lead of {scores.difference:.2f} with "
            f"{settings.clear:g} standard errors of {settings.clear * scores.error:.2f}, which may "
            "be chance"
        )
        step = (
            f"ask on about {_prompts_to_tell(measure, settings):,} prompts "
            "(gate_prompts_per_domain), or warm the student up on its answers before the merge, "
            "which measures what it brings (on_misfit=remedy)"
        )
        yield Finding("gain-unclear", "refusal", subject, evidence, step)
    if measure.swap is None:
        yield _untested(measure, subject)


def _prompts_to_tell(measure: TeacherMeasure, settings: GateSettings) -> int:
    """Return the number of prompts on which a lead like this one is mostly clear.

    The error falls with the root of the prompts. Twice of what the lead just needs: a lead that is
    2.8 standard errors on average is more than 2 in four of five tries.
    """
    scores = measure.scores
    return math.ceil(2 * scores.prompts * (settings.clear * scores.error / scores.difference) ** 2)


def _is_ahead(measure: TeacherMeasure, settings: GateSettings) -> bool:
    """Return whether the teacher clearly scores more than the student."""
    return measure.scores.difference > settings.clear * measure.scores.error


def _other_words(measure: TeacherMeasure, swap: SwapRow, subject: str) -> Finding:
    """Return that a teacher scores more but finds the domain's well-graded answers unlikely.

    A teacher with a swapped path does not know the domain and would not score more. So this one
    solves it in other words than the student, which unlearns its own before it has learned them.
    """
    evidence = (
        f"{_better_explained(measure, swap)}, and yet it scores {measure.scores.difference:.2f} "
        "more than the student: it phrases its answers differently"
    )
    return Finding("other-words", "refusal", subject, evidence, _WARM_UP)


def _untested(measure: TeacherMeasure, subject: str) -> Finding:
    """Return that the swap test had too few answers."""
    evidence = (
        f"the student has fewer than {LEAST_ROLLOUTS} correct answers in {measure.domain}, too few "
        "to test how likely the teacher finds them"
    )
    return Finding("gate-unknown", "refusal", subject, evidence, _BY_HAND)


def _better_explained(measure: TeacherMeasure, swap: SwapRow) -> str:
    return (
        f"{swap.suspect} explains the well-graded answers of {measure.domain} better than it does "
        f"({swap.log_likelihood[swap.suspect]:.2f} against "
        f"{swap.log_likelihood[measure.name]:.2f} nats per token)"
    )


def _ancestry(measure: TeacherMeasure, subject: str) -> Iterator[Finding]:
    """Yield a finding if the weights contradict the declared precursor, or leave it in doubt."""
    found = measure.ancestry
    if found is None:
        return
    ask = "ask its owner what it was trained from; until then its records prove nothing"
    if found.contradicted:
        evidence = f"its weights do not come from {found.declared}"
        if found.projection is not None:
            share = f"{found.projection:.0%}"
            evidence += f" (it keeps {share} of what that learned; a child keeps nearly all)"
        if found.nearest != found.declared:
            evidence += f"; {found.nearest} is nearer"
        yield Finding("contradicted-ancestry", "refusal", subject, evidence, ask)
    elif found.doubtful:
        yield Finding("doubtful-ancestry", "warning", subject, _in_doubt(found), ask)


def _fork_point(measure: TeacherMeasure, subject: str) -> Iterator[Finding]:
    """Yield the same of the declared fork point, by the precursor's weights."""
    found = measure.fork_point
    if found is None:
        return
    step = (
        "ask its owner which checkpoint it climbed from; a teacher from another fork point has to "
        "climb again from the student's start"
    )
    if found.contradicted:
        evidence = (
            f"its precursor's weights do not come from the declared fork point ({found.summary})"
        )
        yield Finding("contradicted-fork-point", "refusal", subject, evidence, step)
    elif found.doubtful:
        yield Finding("doubtful-fork-point", "warning", subject, _in_doubt(found), step)


def _in_doubt(found: Ancestry) -> str:
    return (
        f"the weights may come from a sibling of {found.declared} that learned from the same data: "
        f"they keep {found.projection:.0%} of what {found.declared} learned and went another way "
        f"with the rest (cosine {found.cosine:.2f}). A child that trained for longer than its "
        "parent looks alike"
    )


def _alike(measure: TeacherMeasure) -> str:
    scores = measure.scores
    return (
        f"on {scores.prompts} prompts it scores {scores.teacher:.2f} and the student "
        f"{scores.student:.2f}, at a KL of {measure.reading.kl:.3f} nats per token: the student "
        "has learned from it already"
    )


def applied_remedy(judged: Judged, on_misfit: OnMisfit) -> Remedy:
    """Return what this run does about the teacher: its remedy, if the run takes one, or a drop."""
    refused = any(note.severity == "refusal" for note in judged.reasons)
    if not refused or on_misfit is OnMisfit.REFUSE:
        return Remedy.NONE
    if on_misfit is OnMisfit.DROP:
        return Remedy.DROP
    return Remedy.NONE if judged.remedy is Remedy.DROP else judged.remedy


def not_measured(subject: str) -> Finding:
    """Return the finding of a teacher that was not measured."""
    return Finding(
        code="not-measured",
        severity="warning",
        subject=subject,
        evidence="its fit was not measured, because gate_prompts_per_domain is 0",
        next_step="set gate_prompts_per_domain to 64, which takes one or two forward passes",
    )
