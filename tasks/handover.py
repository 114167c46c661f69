"""What steps hand each other besides single artifacts. No task is defined here, and no torch.

Flyte registers all that a package imports, so shared types live where there is nothing to register.
Sequences are lists because Flyte's types have no tuple of any length.
"""

from enum import StrEnum

from pydantic import Field, JsonValue

from lineage.artifacts import Artifact, Frozen, Rung
from lineage.compatibility import Finding
from tasks.documented import documented


class StageLabel(Frozen):
    """Which run of a task this is, for people: it does not change what is computed."""

    name: str
    """Shown with the progress, such as "math sft"."""
    owner: str


class DomainSettings(Frozen):
    """What a team says of its domain: who owns it, and how many prompts it makes."""

    name: str = Field(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$")
    owner: str = Field(min_length=1)
    licence: str = "Apache-2.0"
    version: str = Field(min_length=1)
    """The team folder's own version; raise it when prompts or environment change."""
    num_train: int = Field(default=2000, ge=1)
    num_validation: int = Field(default=200, ge=1)
    num_evaluation: int = Field(default=500, ge=1)
    """At least 400: a Wilson interval then has a half-width of at most 0.05."""
    num_demonstrations: int = Field(default=4000, ge=1)
    allow_unconfined: bool = False
    """As in ``SamplingSettings``, where the team's own prompts are made."""


class Contribution(Frozen):
    """A domain's part of the shared supervised stage."""

    domain: str
    package: str
    """Where its ``environment.py`` and ``prompts.py`` lie."""
    owner: str
    licence: str = ""
    """Of its demonstrations; "" where nobody stated one."""
    count: int = Field(ge=1)
    """How many demonstrations."""


class BlendSettings(Frozen):
    """The data of the shared supervised stage that makes the fork point."""

    contributions: list[Contribution] = Field(min_length=1)
    allow_unconfined: bool = False
    """As in ``SamplingSettings``."""


class Domain(Frozen):
    """A domain as its team hands it over: everything by digest."""

    settings: DomainSettings
    environment: Artifact
    train: Artifact
    validation: Artifact
    evaluation: Artifact
    demonstrations: Artifact
    sketches: Artifact
    """Of the demonstrations: by it, overlap with other supervised data is told without the data."""


class MeasuredRung(Frozen):
    """How far the student is from a rung of a teacher's climb."""

    step: int = Field(ge=0)
    kl: float = Field(allow_inf_nan=False)
    """KL(student || rung) on the student's own rollouts, nats a token."""


class PlannedTeacher(Frozen):
    """A teacher of a consolidation, resolved to digests."""

    name: str
    """What routing, ledger and metrics call it: its domain, or ``math@3`` where several teach one
    domain."""
    domain: str
    share: float = Field(default=1.0, gt=0, le=1)
    """Of its domain's rollouts; over the teachers of a domain it sums to 1."""
    mode: str | None = None
    """The thinking mode of the prompts that it scores; None for all of its domain's."""
    is_self: bool = False
    """The student itself, as it starts, teaches this domain; the release gives all the rest."""
    reference: str
    """As it was resolved: ``math@3``."""
    owner: str
    release: Artifact
    checkpoint: Artifact
    ladder: list[Rung]
    """The checkpoints of its climb, in order; the last is the teacher."""
    ladder_kl: list[MeasuredRung] = Field(default_factory=list)
    """Of the rungs that the gate has measured for a staged ladder, in order; the last is the
    teacher. Empty where nobody measured."""
    environment: Artifact
    train: Artifact
    validation: Artifact
    evaluation: Artifact


class Plan(Frozen):
    """What a consolidation merges: resolved once, at its start."""

    artifact: Artifact | None = None
    """The plan itself in the store."""
    fork_point: Artifact
    student: Artifact
    """Where the student starts; the fork point in the first round."""
    teachers: list[PlannedTeacher] = Field(min_length=1)
    notes: list[Finding] = Field(default_factory=list)
    """All findings, those too for which it would be refused without a waiver."""
    waivers: list[Artifact] = Field(default_factory=list)
    """Signed statements that findings of this plan are accepted; the plan is the same without."""
    reviewed: bool = False
    """Whether a person must approve it; a student of it then needs the record of an approval."""

    @property
    def made_for(self) -> dict[str, JsonValue]:
        """What a step attests of the plan that it was made for: its record. It is no input."""
        return {"plan": self.artifact.record} if self.artifact else {}

    @property
    def leads(self) -> list[PlannedTeacher]:
        """Of each domain the teacher with the largest share: its prompts are played and graded."""
        leads: dict[str, PlannedTeacher] = {}
        for teacher in self.teachers:
            if teacher.domain not in leads or teacher.share > leads[teacher.domain].share:
                leads[teacher.domain] = teacher
        return list(leads.values())


class Verdict(StrEnum):
    """Does a teacher fit, going by what was measured?"""

    FITS = "fits"
    FITS_AFTER_REMEDY = "fits after remedy"
    DOES_NOT_FIT = "does not fit"
    UNKNOWN = "unknown"
    """Unlike anything that the gate was calibrated on."""


class Remedy(StrEnum):
    """What is done about a teacher before the merge."""

    NONE = "none"
    WARM_UP = "warm-up"
    """A light SFT of the student on the teacher's own answers (Nemotron 3 Ultra, 2606.15007)."""
    DROP = "drop"
    """It is left out."""


class WarmUpSettings(Frozen):
    """How much of a teacher's own answers the student learns before the merge.

    It must be enough for the student to answer in the teacher's words throughout: after 40 steps at
    5e-4 the demo's student mixed both conventions into answers that nobody grades as right.
    """

    prompts_per_teacher: int = Field(default=384, ge=1)
    steps_per_teacher: int = Field(default=120, ge=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup_steps: int = Field(default=5, ge=0)


class OnMisfit(StrEnum):
    """What a consolidation does about a teacher that does not fit as it is."""

    REFUSE = "refuse"
    REMEDY = "remedy"
    """Do what the gate proposes; what no remedy helps is refused."""
    DROP = "drop"
    """Go on without it."""


class Level(StrEnum):
    """The least severe finding that ends a consolidation, unless a person waived it."""

    REFUSAL = "refusal"
    """What the records forbid."""
    WARNING = "warning"
    """Also what they warn of."""


@documented
class GateOrder(Frozen):
    """What a person asks of the gate."""

    gate_least_predicted: float = Field(default=0.85, gt=0, le=1)
    """Share of what a fitting teacher passes on that each teacher must be expected to pass on."""
    gate_prompts_per_domain: int = Field(default=64, ge=0)
    """Prompts of each domain that the gate measures teachers on; 0 leaves them unmeasured."""
    refuse_findings_from: Level = Level.REFUSAL
    """The least severe finding that ends the run, unless it is waived."""


@documented
class ReleaseConditions(Frozen):
    """When the alias ``released`` moves to a student by itself; a person may move it otherwise.

    The defaults are ours: the testbed's students have 0.9 or more of the gain in every domain and
    about 0.95 on average, and its cheap merges mostly less than a half.
    """

    release_keep_domains: bool = True
    """Whether a student must have every domain of the one that is released."""
    release_least_normalised: float = Field(default=0.5, ge=0)
    """Least share of its teacher's gain that a student must have in each domain to be released."""
    release_least_overall: float = Field(default=0.8, ge=0)
    """The same as the mean over domains."""

    def words(self) -> str:
        """Return the conditions in one line."""
        kept = ", and every domain of the one before" if self.release_keep_domains else ""
        return (
            f"at least {self.release_least_normalised:g} of the gain in each domain, "
            f"{self.release_least_overall:g} on average{kept}"
        )


class TeacherVerdict(Frozen):
    """What the gate found of one teacher, and what is done about it."""

    name: str
    domain: str
    verdict: Verdict
    predicted: float | None = None
    """The share of its gain that the student should have after the merge."""
    low: float | None = None
    high: float | None = None
    """90 % lies between."""
    proposed: Remedy = Remedy.NONE
    done: Remedy = Remedy.NONE
    ladder: list[MeasuredRung] = Field(default_factory=list)
    """What it is in each stage of a staged ladder but the last, where that was measured."""
    refork: Artifact | None = None
    """Where it does not fit: the request to its owner to climb again from the student's start."""


class Gated(Frozen):
    """A plan that went through the gate."""

    summary: str = ""
    """What a person approves, in a few lines: who is merged, verdicts, findings, cost."""
    plan: Plan
    """Without the teachers that are left out, with what was measured among its findings."""
    report: Artifact
    """A folder with the page and the numbers."""
    teachers: list[TeacherVerdict]
    approval: Artifact | None = None
    """The record that a person approved the plan; None where nobody was asked."""
