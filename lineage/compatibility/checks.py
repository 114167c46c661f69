"""The gate's first check: do teachers and student fit together by their records?

Pure: manifests and registry states in, findings out. What the weights say is measured elsewhere;
this only reads what the teams declared and what the records prove.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict

from lineage.artifacts import Release
from lineage.compatibility.sketch import Sketch, overlap

Severity = Literal["refusal", "warning", "note"]
SignatureState = Literal["signed", "adopted", "unsigned"]


@dataclass(frozen=True)
class Finding:
    """One thing that does not fit, with the evidence and the remedy."""

    code: str
    severity: Severity
    subject: str
    """The teacher (by domain or reference) that it is about."""
    evidence: str
    next_step: str

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Candidate:
    """One teacher that a consolidation wants to use."""

    reference: str
    release: Release
    recalled: str = ""
    """Why it or one of its ancestors was recalled; "" if none was."""
    ancestors: frozenset[str] = frozenset()
    """Digests of the artifacts that its checkpoint descends from, by record."""
    steps_to_fork: int | None = None
    """Number of records between its checkpoint and the student's start or nearest ancestor; None
    if they share no ancestor."""
    sketch: Sketch | None = None
    """Sketch of its supervised data."""
    held: tuple[str, str] | None = None
    """Digests of tokenizer and template in its checkpoint; None if they were not read."""
    differences: tuple[str, ...] | None = None
    """What differs between its tokenizer and the student's, in words; None if not compared."""
    signature: SignatureState = "unsigned"
    signed_by: str = ""
    """The team that signed; "" where none did."""


@dataclass(frozen=True)
class Start:
    """What the student starts from."""

    checkpoint: str
    tokenizer: str
    template: str
    ancestors: frozenset[str] = frozenset()
    """Digests of the artifacts that it descends from: a student of an earlier round goes on."""


def check(candidates: Mapping[str, Candidate], start: Start) -> list[Finding]:
    """Return the findings against merging ``candidates`` (by domain) into a student from ``start``.

    Refusals first. An empty list means that by record everything fits.
    """
    findings: list[Finding] = []
    for domain, candidate in candidates.items():
        findings += _check_one(domain, candidate, start)
    findings += _shared_checkpoints(candidates)
    findings += _different_data(candidates)
    order = {"refusal": 0, "warning": 1, "note": 2}
    return sorted(findings, key=lambda finding: (order[finding.severity], finding.subject))


def _check_one(domain: str, candidate: Candidate, start: Start) -> list[Finding]:
    release, subject = candidate.release, candidate.reference
    said = (release.tokenizer, release.template)
    tokenizer, template = candidate.held or said
    found = [
        _fork_point(subject, release.fork_point.digest, candidate, start),
        _differs(subject, "tokenizer", tokenizer, start.tokenizer, candidate.differences),
        _differs(subject, "template", template, start.template),
        _false_identity(subject, said, (tokenizer, template)),
        _wrong_domain(subject, domain, release),
        _recalled(subject, candidate),
        _false_ancestry(subject, candidate),
        _imported(subject, release),
        _kind(subject, release),
        _signature(subject, candidate),
    ]
    return [finding for finding in found if finding is not None]


def _fork_point(
    subject: str, fork_point: str, candidate: Candidate, start: Start
) -> Finding | None:
    """A teacher must have climbed from where the student starts, or from what that came from."""
    if fork_point == start.checkpoint:
        return None
    if fork_point in start.ancestors:
        return Finding(
            "later-round",
            "note",
            subject,
            f"{subject} climbed from {fork_point}, an ancestor of the student "
            f"{start.checkpoint}: later rounds start from the student of an earlier round",
            "no action; the measurement shows how far the student has moved from this teacher",
        )
    far = (
        f"; their nearest common ancestor is {candidate.steps_to_fork} records back"
        if candidate.steps_to_fork is not None
        else "; their records share no ancestor"
    )
    return Finding(
        "other-fork-point",
        "refusal",
        subject,
        f"the fork point of {subject} is {fork_point}, the student starts from "
        f"{start.checkpoint}{far}",
        "merge teachers of one fork point only: re-train this teacher from the student's start, "
        "or leave it out",
    )


_CURE = {
    "tokenizer": (
        "token-level distillation needs the same ids: re-train this teacher with the student's "
        "tokenizer, or leave it out"
    ),
    "template": (
        "the teacher would score prompts that it never saw in this form: release it with the "
        "student's chat template, or leave it out"
    ),
}


def _differs(
    subject: str, what: str, theirs: str, ours: str, words: Sequence[str] | None = None
) -> Finding | None:
    if theirs == ours or words == ():  # such as another pad token, which scores nothing
        return None
    said = f"; they differ in {'; and in '.join(words)}" if words else ""
    evidence = f"the {what} of {subject} is {theirs}, the student's is {ours}{said}"
    return Finding(f"other-{what}", "refusal", subject, evidence, _CURE[what])


def _false_identity(subject: str, said: tuple[str, str], held: tuple[str, str]) -> Finding | None:
    if held == said:
        return None
    evidence = f"{subject} declares tokenizer and template {said}, but its checkpoint holds {held}"
    cure = "have its owner release it again with the current code, which reads both from it"
    return Finding("false-identity", "refusal", subject, evidence, cure)


def _wrong_domain(subject: str, domain: str, release: Release) -> Finding | None:
    if release.domain == domain:
        return None
    return Finding(
        "swapped-domain",
        "refusal",
        subject,
        f"the plan uses {subject} for {domain!r}, but its release is for {release.domain!r}",
        "give each domain its own teacher; the routing sends a prompt to its domain's teacher",
    )


def _recalled(subject: str, candidate: Candidate) -> Finding | None:
    if not candidate.recalled:
        return None
    return Finding(
        "recalled-input",
        "refusal",
        subject,
        candidate.recalled,
        "use a version that was not recalled and does not descend from a recalled one",
    )


def _false_ancestry(subject: str, candidate: Candidate) -> Finding | None:
    """Find a release that declares a fork point which its own records do not lead to."""
    fork_point = candidate.release.fork_point.digest
    if not candidate.ancestors:
        return Finding(
            "unproven-ancestry",
            "refusal",
            subject,
            f"no record says how the checkpoint of {subject} was made",
            "release it through `provost run teacher`, which writes the records, or through "
            "`provost teacher import`, which checks the declared fork point against the weights",
        )
    if fork_point in candidate.ancestors:
        return None
    return Finding(
        "false-ancestry",
        "refusal",
        subject,
        f"{subject} declares the fork point {fork_point}, which is not among the "
        f"{len(candidate.ancestors)} artifacts that its records descend from",
        "ask the owner; correct the release, or leave the teacher out",
    )


def _imported(subject: str, release: Release) -> Finding | None:
    """Say what is unknown of a teacher that was trained elsewhere."""
    if release.declared is None:
        return None
    evidence = f"{subject} was trained elsewhere; {release.declared.words}"
    step = "ask its owner for what is unknown: `provost teacher import` takes it with --declare"
    return Finding("imported-teacher", "warning", subject, evidence, step)


def _kind(subject: str, release: Release) -> Finding | None:
    """Say where a teacher was not made by reinforcement learning."""
    if release.kind != "sft":
        return None
    return Finding(
        "sft-teacher",
        "warning",
        subject,
        f"{subject} was made by supervised fine-tuning alone; such teachers are farther from the "
        "fork point and transferred 44 % of their gain, while RL teachers of equal score "
        "transferred 115 % (Train4Merge, 2609.32303)",
        "measure it (`provost gate`), or let its team climb by RL from the fork point",
    )


def _signature(subject: str, candidate: Candidate) -> Finding | None:
    """Warn of an unsigned release. One with a wrong signature was refused before."""
    if candidate.signature != "unsigned":
        return None
    return Finding(
        "unsigned",
        "warning",
        subject,
        f"{subject} is unsigned: its records prove what was made, but not who made it",
        "give the store a trust root with `provost lineage adopt`",
    )


LEAST_SHARED = 0.05
"""Share of supervised rows in [0, 1] below which two teachers count as trained on different data.
Our choice: it separates teams that share part of one blend, as here, from teams that share none."""


def _different_data(candidates: Mapping[str, Candidate]) -> list[Finding]:
    """Say how much of each teacher's supervised data the others have seen, where that is little.

    A teacher trained on supervised data that the student and the others never saw writes in a
    style that the student does not reach (Nemotron 3 Ultra, 2606.15007: why it has a warm-up).
    """
    known = {name: c for name, c in candidates.items() if c.sketch is not None}
    findings = []
    for name, candidate in known.items():
        others = [other for key, other in known.items() if key != name]
        if not others or candidate.sketch is None:
            continue
        found = [overlap(candidate.sketch, o.sketch) for o in others if o.sketch is not None]
        share, likeness = max(f.share for f in found), max(f.likeness for f in found)
        if max(share, likeness) >= LEAST_SHARED:
            continue
        findings.append(
            Finding(
                "own-data",
                "note",
                candidate.reference,
                f"{share:.1%} of the supervised rows of {candidate.reference} are in another "
                f"teacher's, and their texts are {likeness:.0%} alike: its training data differs "
                "from the other teachers'",
                "expected where each domain has its own data; if the measured KL is high, warm "
                "the student up on this teacher's traces",
            )
        )
    return findings


def _shared_checkpoints(candidates: Mapping[str, Candidate]) -> list[Finding]:
    """Find one checkpoint that was released for two domains: usually a wrong path."""
    counts = Counter(item.release.checkpoint.digest for item in candidates.values())
    return [
        Finding(
            "same-checkpoint",
            "warning",
            item.reference,
            f"{counts[item.release.checkpoint.digest]} of the teachers are one checkpoint, "
            f"{item.release.checkpoint.digest}",
            "check that each team released its own climb",
        )
        for item in candidates.values()
        if counts[item.release.checkpoint.digest] > 1
    ]
