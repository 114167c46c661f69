"""What commands that check, compare or explain print with ``--json`` (docs/guides/json.md)."""

from lineage.frozen import Frozen
from workflows.commands.documents import Document, Record


class Taken(Frozen):
    """What one record took from another."""

    record: str
    took_from: str
    """The record that made it; "" for what no record made."""
    role: str
    name: str
    artifact: str
    weight: float | None


class GraphAnswer(Document):
    """``provost lineage show``."""

    record: str
    """Record of the reference."""
    records: list[Record]
    """Parents before children."""
    inputs: list[Taken]


class Fault(Frozen):
    """One mismatch, or one claim without proof."""

    subject: str
    what: str


class Vouched(Frozen):
    """The signature of an entry."""

    entry: str
    state: str
    team: str
    why: str


class Verified(Frozen):
    """``provost lineage verify``."""

    subject: str
    passed: bool
    records: int
    blobs: int
    bytes: int
    """Number of bytes hashed."""
    unchanged: int
    """Number of the blobs that an earlier run hashed, and that nothing has written to since."""
    unchanged_bytes: int
    """Bytes of these, which were not hashed again."""
    unchanged_since: str
    """Time at which the first of these was hashed; "" without any."""
    signatures: list[Vouched]
    faults: list[Fault]
    unknown: list[Fault]
    """Rules of which an older version recorded no proof."""
    nondeterministic: list[str]
    """Records that gave different bytes at different times."""


class ReindexAnswer(Document):
    """``provost lineage reindex``."""

    records: int
    names: int
    versions: int
    repaired: list[str]


class ScoreAnswer(Frozen):
    """A mean with its 95 % interval over ``n`` prompts."""

    mean: float
    low: float
    high: float
    n: int


class SideAnswer(Frozen):
    """One of two students."""

    reference: str
    digest: str
    scores: dict[str, ScoreAnswer]
    """Score by domain, and overall."""


class Compared(Frozen):
    """``provost compare``: differences are the second minus the first."""

    first: SideAnswer
    second: SideAnswer
    settings: dict[str, tuple[str, str]]
    """Settings that differ."""
    teachers: dict[str, tuple[str, str]]
    differences: dict[str, ScoreAnswer]
    """Difference by domain, on the same prompts."""
    not_paired: dict[str, str]
    """Domains that cannot be compared prompt by prompt, and why."""


class EstimatedPhase(Frozen):
    """One phase of a step on a rank."""

    name: str
    bytes: int
    parts: dict[str, int]
    """Bytes by what holds them."""


class LayoutAnswer(Frozen):
    """A round on one number of ranks."""

    ranks: int
    nodes: int
    missing: list[str]
    """What does not fit; empty where all does."""
    device_bytes: int
    """Bytes of a rank in its largest phase."""
    device_limit_bytes: int
    phases: list[EstimatedPhase]
    host_bytes: int
    """Bytes of the first node's host in its largest moment."""
    host_limit_bytes: int
    ledger_bytes: int
    """Bytes of one round's ledger."""
    stored_bytes: int
    """Bytes of ledgers, students, controls and a training state."""
    received_bytes_a_step: int
    """Bytes that a rank receives from the others in a step."""
    seconds_a_step: dict[str, float]
    """Seconds of sampling, learning and network; without GPUs from this machine's speed."""
    seconds: float
    """Seconds of all rounds."""
    gpus_of_servers: int
    """The fewest GPUs of the flavor that the vLLM servers take, beside the ranks'; 0 without
    servers, or without GPUs."""


class AloneAnswer(Frozen):
    """A stage that one process runs."""

    stage: str
    bytes: int
    """Bytes of its largest phase: of a GPU for the gate, of the host for the evaluation."""
    limit_bytes: int


class EstimateAnswer(Frozen):
    """``provost estimate``."""

    student: str
    parameters: int
    teachers: int
    flavor: str
    layouts: list[LayoutAnswer]
    alone: list[AloneAnswer]
    refusal: str
    """Why no layout fits, and the nearest one that does; "" where one fits."""


class ListedKey(Frozen):
    """A key of a team."""

    public: str
    problem: str
    """Why it is out of effect; "" where it is in effect."""


class ListedTeam(Frozen):
    """What a team owns, and its keys."""

    team: str
    project: str
    names: list[str]
    keys: list[ListedKey]


class Trust(Frozen):
    """``provost trust show``."""

    store: str
    version: int
    maintainers: list[str]
    teams: list[ListedTeam]


class CheckAnswer(Frozen):
    """One check of a machine."""

    group: str
    name: str
    status: str
    """ok, warning or failure."""
    finding: str
    remedy: str


class Checkup(Frozen):
    """``provost doctor``."""

    status: str
    """The worst of the checks."""
    checks: list[CheckAnswer]


class RecipeName(Frozen):
    """A recipe that can be run."""

    name: str
    title: str
    lesson: str
    """One line on what to learn from it."""


class RecipeList(Frozen):
    """``provost recipe list``."""

    recipes: list[RecipeName]


class RecipeAnswer(Frozen):
    """``provost run recipe``: the card of one run."""

    recipe: str
    scale: str
    seed: int
    card: str
    """Record of the card."""
    model: str
    """Digest of the last checkpoint."""
    mean: float
    """Mean score over the domains, from 0 to 1."""
    gain: float
    """Mean score less the base's."""
    scores: dict[str, float]
    forgetting: dict[str, float]
    """Best score of an earlier stage, less the model's, by domain."""
    drift: float
    """KL from the base in nats per token."""
    tokens_sampled: int
    tokens_trained: int
    processor_minutes: float


class RecipeCards(Frozen):
    """``provost recipe compare``."""

    cards: list[RecipeAnswer]


ANSWERS: dict[str, type[Frozen]] = {
    "lineage show": GraphAnswer,
    "lineage verify": Verified,
    "lineage reindex": ReindexAnswer,
    "compare": Compared,
    "run recipe": RecipeAnswer,
    "recipe list": RecipeList,
    "recipe compare": RecipeCards,
    "trust show": Trust,
    "doctor": Checkup,
    "estimate": EstimateAnswer,
}
"""JSON document by command."""
