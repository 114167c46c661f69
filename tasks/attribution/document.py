"""What an audit found, as one document: the page is drawn from it and other programs read it.

Contributions are in nats of a response's log-probability (against a contrast: of its log-odds),
summed over its tokens.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import FiniteFloat

from lineage.artifacts import Artifact, Frozen
from lineage.store import Store, open_store
from lineage.summary import Score, Summary, command


class Source(Frozen):
    """A teacher, the outcome reward, decay or rounding."""

    name: str
    domain: str = ""
    reference: str = ""
    """The release, such as ``teacher.math@3``; "" for what is no teacher, or not published."""
    owner: str = ""
    """The team to ask."""
    record: str = ""
    """Of the release."""


class ShareEstimate(Frozen):
    """A mean with its 95 % interval."""

    mean: FiniteFloat
    low: FiniteFloat | None = None
    """None where nothing could be resampled: one behaviour, or one seed."""
    high: FiniteFloat | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval is known and leaves 0 out."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


class TokenShare(Frozen):
    """One token of a response."""

    text: str
    start: FiniteFloat
    """Log-probability where the round began, in nats ..."""
    end: FiniteFloat
    """... and of the student."""
    parts: Mapping[str, FiniteFloat]


class BehaviourShare(Frozen):
    """One behaviour, split by source."""

    name: str
    domain: str
    prompt: str
    response: str
    contrast: str | None
    start: FiniteFloat
    """What was there before this round, in nats."""
    end: FiniteFloat
    parts: Mapping[str, FiniteFloat]
    taught: Mapping[str, FiniteFloat]
    """By teacher, its log-probability less that of the start."""
    residual: FiniteFloat
    """What the parts leave unexplained, over the sum of their sizes."""
    named: str
    """The source that is named for it, or "" for none; see ``naming.named``."""
    holders: tuple[str, ...] = ()
    """Teachers that hold it alike; of two or more none is named."""
    tokens: tuple[TokenShare, ...] = ()
    """Of the response; kept for the first behaviours alone."""


class SegmentShare(Frozen):
    """A stretch of training: what each source added, as a mean over behaviours."""

    first_step: int
    last_step: int
    parts: Mapping[str, FiniteFloat]


class GroupShare(Frozen):
    """The behaviours of one domain, or of another probe set."""

    domain: str
    count: int
    owner: str
    """The teacher of the domain; "" where there is none, as of neutral text."""
    start: FiniteFloat
    end: FiniteFloat
    parts: Mapping[str, ShareEstimate]
    taught: Mapping[str, ShareEstimate]
    """By teacher, its log-probability less that of the start."""


class Witness(Frozen):
    """Another way of asking: what it gives each source, as a mean over behaviours."""

    name: str
    parts: Mapping[str, FiniteFloat]
    named: str
    unit: str = "nats"


class Influence(Frozen):
    """A training rollout of the ledger's sample, and how far it pushed the behaviours."""

    teacher: str
    step: int
    domain: str
    prompt: str
    """Its id."""
    score: FiniteFloat
    influence: FiniteFloat
    """First order: the update's gradient without Adam's scaling, along the behaviours'. Its unit
    is of no meaning; compare it with others of the page."""
    asked: str
    answered: str


class RetrainEffect(Frozen):
    """What a retrain without some teachers changed, with all else the same."""

    masked: tuple[str, ...]
    effect: ShareEstimate
    """Of their presence, in nats: the student's mean less that of the retrain without them."""
    per_seed: Mapping[int, FiniteFloat]
    by_domain: Mapping[str, FiniteFloat]
    """The same for the behaviours of each domain or probe set."""
    surgery: FiniteFloat | None
    """What taking their displacements out of the student gives instead; of one teacher."""


class RetrainResult(Frozen):
    """The counterfactual: retrains with teachers masked."""

    seeds: tuple[int, ...]
    effects: tuple[RetrainEffect, ...]
    noise: FiniteFloat | None
    """How far the unmasked retrains of two seeds lie apart, as a mean; None for one seed."""
    reproduction: FiniteFloat
    """The unmasked retrain of the student's own seed less the student itself, in nats."""


class AuditVerdict(Frozen):
    """The answer in words."""

    named: str
    """A source, or "" for none and for several teachers alike."""
    holders: tuple[str, ...] = ()
    """Who finds it likelier than the start did by enough, and alike; see ``naming.holders``."""
    sentence: str
    confidence: str


class CarriedWaiver(Frozen):
    """A person's signed exception that the student carries."""

    digest: str
    text: str


class Audit(Frozen):
    """One audit."""

    schema_: Literal["provost.audit/1"] = "provost.audit/1"
    student: str
    """The reference that the person gave."""
    start: str
    """What the round began with, in words."""
    created: str
    inputs: Mapping[str, str]
    """Role to digest: what this document follows from."""
    sources: tuple[Source, ...]
    count: int
    """Behaviours."""
    begun: FiniteFloat
    """Mean log-probability (log-odds) of the behaviours where the round began, in nats ..."""
    ended: FiniteFloat
    """... and of the student."""
    shares: Mapping[str, ShareEstimate]
    approximate: str = ""
    """How far the split can be trusted where it was replayed; "" for an exact one."""
    residual: FiniteFloat
    """The largest of any behaviour, over the sum of its parts' sizes."""
    behaviours: tuple[BehaviourShare, ...]
    course: tuple[SegmentShare, ...]
    groups: tuple[GroupShare, ...]
    witnesses: tuple[Witness, ...]
    influences: tuple[Influence, ...]
    searched: str
    """Which part of the ledger's sample was searched for rollouts."""
    verification: RetrainResult | None
    verdict: AuditVerdict
    approvals: tuple[str, ...]
    """What the check by record noted when the plan was made."""
    waivers: tuple[CarriedWaiver, ...]
    drawn: Mapping[str, str]
    """How behaviours were drawn, where they were: probe set to words."""
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
    """Return verdict, sureness and shares; ``report`` is where its page lies."""
    named, owners = found.verdict.named, {source.name: source.owner for source in found.sources}
    return Summary(
        kind="audit",
        name=found.student,
        digest=made.digest,
        record=made.record,
        verdict=f"{found.verdict.sentence} How sure: {found.verdict.confidence}",
        unit="nats of what it says",
        scores=[
            Score(what=name, value=share.mean, low=share.low, high=share.high)
            for name, share in found.shares.items()
        ],
        warnings=[found.approximate] if found.approximate else [],
        report=report,
        seconds=seconds,
        next=[command("surgery", found.student, "--without", named)] if owners.get(named) else [],
    )
