"""Types that tasks pass to each other, besides single artifacts. No tasks here, and no torch.

Flyte registers everything that a package imports, so shared types live in a module without tasks.
Sequences are lists because Flyte has no type for tuples of variable length.
"""

from enum import StrEnum

from pydantic import Field, FiniteFloat, JsonValue, model_validator

from lineage.artifacts import Artifact, Rung
from lineage.compatibility.checks import Finding
from lineage.frozen import Frozen, without
from tasks.contracts.domain_name import DomainName
from tasks.contracts.inputs import documented


class StageLabel(Frozen):
    """Whose stage a supervised run is. Name and owner do not affect the computation."""

    name: str
    """Name in the progress display, such as "math sft"."""
    owner: str
    system_prompt: str = ""
    """System prompt that is put before each demonstration's prompt; "" for none."""


class DomainSettings(Frozen):
    """A team's declaration of its domain: owner, license, version and prompt counts."""

    name: DomainName
    """Name of the domain; its teacher is registered as teacher.NAME."""
    owner: str = Field(min_length=1)
    """Team that owns the domain, as the trust root names it."""
    license: str = "Apache-2.0"
    """SPDX identifier of the license of prompts and demonstrations."""
    version: str = Field(min_length=1)
    """Version of the team folder; raise it when prompts or environment change."""
    num_train: int = Field(default=2000, ge=1)
    """Number of different training prompts that ``prompts.py`` must yield."""
    num_validation: int = Field(default=200, ge=1)
    """Number of different validation prompts."""
    num_evaluation: int = Field(default=500, ge=1)
    """Number of evaluation prompts. With 400, a Wilson interval is at most 0.05 wide each way."""
    num_demonstrations: int = Field(default=4000, ge=1)
    """Number of demonstrations for the supervised stage."""
    system_prompt: str = ""
    """System prompt that only the domain's teacher sees: in training, in evaluation, and when it
    scores the student. The student never sees it."""
    least_score: float = Field(default=0.1, ge=0, le=1)
    """Minimum mean score for an automatic release; the gate's 64 prompts tell 0.1 from 0."""
    allow_unconfined: bool = False
    """Whether ``prompts.py`` may run unconfined; see ``SamplingSettings``."""


class Contribution(Frozen):
    """A domain's part of the shared supervised stage."""

    domain: str
    package: str
    """Python package that holds ``environment.py`` and ``prompts.py``."""
    owner: str
    license: str = ""
    """License of the demonstrations; "" if unknown."""
    count: int = Field(ge=1)
    """Number of demonstrations."""


class BlendSettings(Frozen):
    """The data of the shared supervised stage that makes the fork point."""

    contributions: list[Contribution] = Field(min_length=1)
    allow_unconfined: bool = False
    """Whether ``prompts.py`` may run unconfined; see ``SamplingSettings``."""


class TrainingDomain(Frozen):
    """What training on a domain needs of it."""

    name: str
    owner: str
    system_prompt: str = ""
    environment: Artifact
    train: Artifact
    """Training prompts."""


class Domain(Frozen):
    """A domain as its team releases it: everything by digest."""

    settings: DomainSettings
    environment: Artifact
    train: Artifact
    validation: Artifact
    evaluation: Artifact
    demonstrations: Artifact
    sketches: Artifact
    """Sketches of the demonstrations, which reveal overlap with other data without the data."""

    @property
    def training(self) -> TrainingDomain:
        """What RL needs of the domain."""
        return TrainingDomain(
            name=self.settings.name,
            owner=self.settings.owner,
            system_prompt=self.settings.system_prompt,
            environment=self.environment,
            train=self.train,
        )


class MeasuredRung(Frozen):
    """KL from the student to one rung of a teacher's climb."""

    step: int = Field(ge=0)
    kl: float = Field(allow_inf_nan=False)
    """KL(student || rung) on the student's own rollouts, in nats per token."""


class PlannedTeacher(Frozen):
    """A teacher of a consolidation, resolved to digests."""

    name: str
    """Name in routing, ledger and metrics: the domain, or ``math@3`` if a domain has several
    teachers."""
    domain: str
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the domain's rollouts; the shares of a domain's teachers sum to 1."""
    mode: str | None = None
    """Thinking mode of the prompts that the teacher scores; None scores all of the domain."""
    is_self: bool = False
    """Whether the initial student teaches this domain; the release supplies everything else."""
    reference: str
    """Resolved reference, such as ``math@3``."""
    owner: str
    release: Artifact
    checkpoint: Artifact
    ladder: list[Rung]
    """Checkpoints of the climb, in order; the last is the teacher."""
    ladder_kl: list[MeasuredRung] = Field(default_factory=list)
    """Rungs that the gate measured for a staged ladder, in order; the last is the teacher."""
    environment: Artifact
    system_prompt: str = Field(default="", exclude_if=lambda text: not text)
    """System prompt that only the teacher sees; "" for none, and for the student itself."""
    train: Artifact
    validation: Artifact
    evaluation: Artifact

    @property
    def training(self) -> TrainingDomain:
        """What RL on the teacher's domain needs; the student reads no system prompt."""
        return TrainingDomain(
            name=self.domain, owner=self.owner, environment=self.environment, train=self.train
        )


class Plan(Frozen):
    """What a consolidation merges: resolved once, at its start."""

    artifact: Artifact | None = None
    """The plan itself in the store."""
    fork_point: Artifact
    student: Artifact
    """Initial checkpoint of the student; the fork point in the first round."""
    teachers: list[PlannedTeacher] = Field(min_length=1)
    notes: list[Finding] = Field(default_factory=list)
    """All findings, including those that need a waiver."""
    waivers: list[Artifact] = Field(default_factory=list)
    """Signed waivers of this plan's findings. They do not change the plan's identity."""
    reviewed: bool = False
    """Whether a person must approve the plan; its student then needs the record of an approval."""

    @property
    def plan_artifact(self) -> Artifact | None:
        """The plan itself, as ``Gated`` names its own."""
        return self.artifact

    @property
    def made_for(self) -> dict[str, JsonValue]:
        """The plan's record, for a step to attest. It is not an input of the step."""
        return {"plan": self.artifact.record} if self.artifact else {}

    @property
    def leads(self) -> list[PlannedTeacher]:
        """The teacher with the largest share in each domain; its prompts are used."""
        leads: dict[str, PlannedTeacher] = {}
        for teacher in self.teachers:
            if teacher.domain not in leads or teacher.share > leads[teacher.domain].share:
                leads[teacher.domain] = teacher
        return list(leads.values())


class Verdict(StrEnum):
    """Result of the gate's measurement of a teacher."""

    FITS = "fits"
    FITS_AFTER_REMEDY = "fits after remedy"
    DOES_NOT_FIT = "does not fit"
    UNKNOWN = "unknown"
    """The student has too few right answers to test the teacher with, so it counts as not fitting
    until its remedy was applied and measured."""


class Remedy(StrEnum):
    """What is done with a teacher before the merge."""

    NONE = "none"
    WARM_UP = "warm-up"
    """Short SFT of the student on the teacher's responses (Nemotron 3 Ultra, 2606.15007)."""
    DROP = "drop"
    """The teacher is left out."""


class OnMisfit(StrEnum):
    """What a consolidation does with a teacher that does not fit."""

    REFUSE = "refuse"
    REMEDY = "remedy"
    """Apply the remedy that the gate proposes; refuse teachers without a remedy."""
    DROP = "drop"
    """Continue without the teacher."""


class Level(StrEnum):
    """Lowest severity of finding that ends a consolidation, unless waived."""

    REFUSAL = "refusal"
    """Refusals only."""
    WARNING = "warning"
    """Refusals and warnings."""


@documented
class GateOrder(Frozen):
    """Inputs of the launch form that concern the gate."""

    gate_prompts_per_domain: int = Field(default=64, ge=0)
    """Number of prompts per domain on which the gate measures teachers; 0 skips measuring."""
    refuse_findings_from: Level = Level.REFUSAL
    """Lowest severity of finding that ends the run, unless waived."""


RETIRED = frozenset({"predicted", "low", "high"})
"""Fields of verdicts from when the gate predicted a share of the gain."""


class TeacherVerdict(Frozen):
    """The gate's verdict on one teacher, and the remedy."""

    name: str
    domain: str
    verdict: Verdict
    lead: FiniteFloat | None = None
    """How much more than the student the teacher scores on the prompts of the measurement; None if
    it was not measured."""
    lead_low: FiniteFloat | None = None
    lead_high: FiniteFloat | None = None
    """Upper end of the lead's 95 % interval, paired by prompt; ``lead_low`` is the lower end."""
    proposed: Remedy = Remedy.NONE
    done: Remedy = Remedy.NONE
    ladder: list[MeasuredRung] = Field(default_factory=list)
    """Measured rungs of a staged ladder, without the last stage; empty if not measured."""
    refork: Artifact | None = None
    """Request to the owner to climb again from the student's start, if the teacher does not fit."""

    @model_validator(mode="before")
    @classmethod
    def _without_predictions(cls, data: object) -> object:
        return without(data, RETIRED)

    @property
    def lead_words(self) -> str:
        """The lead with its 95 % interval, in words."""
        if self.lead is None:
            return "not measured"
        return f"{self.lead:+.2f} ({self.lead_low:+.2f} to {self.lead_high:+.2f})"


class Gated(Frozen):
    """A plan that passed the gate."""

    summary: str = ""
    """Summary for the person who approves: teachers, verdicts, findings, cost."""
    plan: Plan
    """The plan without dropped teachers, with the measurements among its findings."""
    report: Artifact
    """Folder with the page and the numbers."""
    teachers: list[TeacherVerdict]
    approval: Artifact | None = None
    """Record of the approval; None if the plan needed none."""

    @property
    def plan_artifact(self) -> Artifact | None:
        """The plan in the store."""
        return self.plan.artifact
