"""The document of an audit: the page is rendered from it, and other programs read it.

Contributions are in nats of a response's log-probability (against a contrast: of its log-odds),
summed over its tokens.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import FiniteFloat

from lineage.artifacts import Artifact
from lineage.frozen import Frozen
from lineage.store.store import Store, open_store
from lineage.view.summary import Score, Summary, command


class Source(Frozen):
    """A teacher, the outcome reward, the warm-up before the round, decay or rounding."""

    name: str
    domain: str = ""
    reference: str = ""
    """The release, such as ``teacher.math@3``; "" for other sources and unpublished teachers."""
    owner: str = ""
    """Team that owns the source."""
    record: str = ""
    """Record of the release."""


class ShareEstimate(Frozen):
    """A mean with its 95 % interval."""

    mean: FiniteFloat
    low: FiniteFloat | None = None
    """None if there is nothing to resample: one behavior, or one seed."""
    high: FiniteFloat | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval is known and excludes 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


class TokenShare(Frozen):
    """One token of a response."""

    text: str
    start: FiniteFloat
    """Log-probability at the start of the round, before any warm-up, in nats."""
    end: FiniteFloat
    """The same under the student."""
    parts: Mapping[str, FiniteFloat]


class BehaviorShare(Frozen):
    """One behavior, split by source."""

    name: str
    domain: str
    prompt: str
    response: str
    contrast: str | None
    start: FiniteFloat
    """Log-probability at the start of the round, before any warm-up, in nats."""
    end: FiniteFloat
    parts: Mapping[str, FiniteFloat]
    taught: Mapping[str, FiniteFloat]
    """Each teacher's log-probability minus that of the start."""
    residual: FiniteFloat
    """The unexplained rest, relative to the sum of the parts' sizes."""
    named: str
    """The named source, or "" for none; see ``naming.named``."""
    holders: tuple[str, ...] = ()
    """Teachers that hold it alike; with two or more, none is named."""
    tokens: tuple[TokenShare, ...] = ()
    """Tokens of the response; kept only for the first behaviors."""


class SegmentShare(Frozen):
    """A stretch of training, with each source's mean contribution over behaviors."""

    first_step: int
    """First step of the stretch; above ``last_step`` where the stretch is no part of the round: the
    warm-up before its first step, and the saving of the student in bf16 after its last."""
    last_step: int
    parts: Mapping[str, FiniteFloat]


class GroupShare(Frozen):
    """The behaviors of one domain, or of another probe set."""

    domain: str
    count: int
    owner: str
    """Teacher of the domain; "" without one, as for neutral text."""
    start: FiniteFloat
    end: FiniteFloat
    parts: Mapping[str, ShareEstimate]
    taught: Mapping[str, ShareEstimate]
    """Each teacher's log-probability minus that of the start."""


class Witness(Frozen):
    """Another estimator's result: a mean over behaviors for each source."""

    name: str
    parts: Mapping[str, FiniteFloat]
    named: str
    unit: str = "nats"


class Influence(Frozen):
    """A training rollout of the ledger's sample, with its influence on the behaviors."""

    teacher: str
    step: int
    domain: str
    prompt: str
    """Id of the prompt."""
    score: FiniteFloat
    influence: FiniteFloat
    """First-order influence: the update's gradient, without Adam's scaling, along the behaviors'
    gradient. Its unit has no meaning; compare it with other values on the page."""
    asked: str
    answered: str


class RetrainEffect(Frozen):
    """Effect of masking some teachers in a retrain, with everything else the same."""

    masked: tuple[str, ...]
    effect: ShareEstimate
    """Effect of their presence in nats: the student's mean minus that of the retrain without
    them."""
    per_seed: Mapping[int, FiniteFloat]
    by_domain: Mapping[str, FiniteFloat]
    """The same for the behaviors of each domain or probe set."""
    surgery: FiniteFloat | None
    """The estimate by surgery on the student instead; only for a single teacher."""


class RetrainResult(Frozen):
    """The counterfactual: retrains with teachers masked."""

    seeds: tuple[int, ...]
    effects: tuple[RetrainEffect, ...]
    noise: FiniteFloat | None
    """Mean difference between the unmasked retrains of two seeds; None for one seed."""
    reproduction: FiniteFloat
    """The unmasked retrain with the student's own seed, minus the student itself, in nats."""


class AuditVerdict(Frozen):
    """The answer in words."""

    named: str
    """The named source; "" for none, and for several teachers alike."""
    holders: tuple[str, ...] = ()
    """Teachers that hold the behavior alike; see ``naming.holders``."""
    sentence: str
    confidence: str


class CarriedWaiver(Frozen):
    """A signed waiver that the student carries."""

    digest: str
    text: str


class WeightsChange(Frozen):
    """The change of the weights in the round, which is the sum of its parts as vectors.

    All but the first are norms relative to it.
    """

    change: FiniteFloat
    """Norm of the change of the weights as they were trained."""
    parts: Mapping[str, FiniteFloat]
    """Sources, decay and rounding; saving, if the student was saved in less precision."""
    predicted_rounding: FiniteFloat
    """The rounding that theory predicts from the weights and the number of updates."""
    unexplained: FiniteFloat
    """The rest beside all parts."""


class Audit(Frozen):
    """One audit."""

    schema_: Literal["provost.audit/1"] = "provost.audit/1"
    student: str
    """The reference as it was given."""
    start: str
    """A phrase for the checkpoint that the audit counts from: the start of the round, before any
    warm-up."""
    warmed_on: tuple[str, ...] = ()
    """Teachers that the warm-up before the round trained on; () without one."""
    created: str
    inputs: Mapping[str, str]
    """Inputs of the audit: role to digest."""
    sources: tuple[Source, ...]
    count: int
    """Behaviors."""
    begun: FiniteFloat
    """Mean log-probability (log-odds) of the behaviors at that checkpoint, in nats."""
    ended: FiniteFloat
    """The same under the student."""
    shares: Mapping[str, ShareEstimate]
    approximate: str = ""
    """Accuracy of a replayed split, in words; "" for an exact one."""
    residual: FiniteFloat
    """Largest unexplained rest of any behavior, relative to the sum of its parts' sizes."""
    weights: WeightsChange | None = None
    """None in an older audit."""
    behaviors: tuple[BehaviorShare, ...]
    course: tuple[SegmentShare, ...]
    groups: tuple[GroupShare, ...]
    witnesses: tuple[Witness, ...]
    influences: tuple[Influence, ...]
    searched: str
    """The part of the ledger's sample that was searched for rollouts."""
    verification: RetrainResult | None
    verdict: AuditVerdict
    approvals: tuple[str, ...]
    """Approvals, and findings of the check by records that were let pass."""
    waivers: tuple[CarriedWaiver, ...]
    drawn: Mapping[str, str]
    """Description of drawn behaviors, by probe set."""
    not_tested: tuple[str, ...]


DOCUMENT, PAGE = "audit.json", "report.html"


def copy_audit(audit: Artifact, folder: Path) -> Audit:
    """Copy a recorded audit's files into a folder, and return its document."""
    store = open_store()
    tree = store.tree(audit.digest)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (DOCUMENT, PAGE):
        shutil.copyfile(tree / name, folder / name)
    return read_audit(store, audit)


def read_audit(store: Store, audit: Artifact) -> Audit:
    """Return the document of a recorded audit."""
    return Audit.model_validate_json((store.tree(audit.digest) / DOCUMENT).read_text("utf-8"))


def summary_of_audit(
    found: Audit, made: Artifact, report: str | None = None, seconds: float | None = None
) -> Summary:
    """Return verdict, confidence and shares; ``report`` is the location of the page."""
    named, owners = found.verdict.named, {source.name: source.owner for source in found.sources}
    return Summary(
        kind="audit",
        name=found.student,
        digest=made.digest,
        record=made.record,
        verdict=f"{found.verdict.sentence} Confidence: {found.verdict.confidence}",
        unit="nats of its responses",
        scores=[
            Score(what=name, value=share.mean, low=share.low, high=share.high)
            for name, share in found.shares.items()
        ],
        warnings=[found.approximate] if found.approximate else [],
        report=report,
        seconds=seconds,
        next=[command("surgery", found.student, "--without", named)] if owners.get(named) else [],
    )
