"""Do teachers and student fit together, going by what is written down? The gate's first check.

Pure: manifests and registry states in, findings out. What the weights say is measured elsewhere;
this only reads what the teams declared and what the records prove.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lineage.artifacts import Release

Severity = Literal["refusal", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that does not fit, with what shows it and what to do about it."""

    code: str
    severity: Severity
    subject: str
    """The teacher (by domain or reference) that it is about."""
    evidence: str
    next_step: str


@dataclass(frozen=True)
class Candidate:
    """One teacher as a consolidation asked for it."""

    reference: str
    release: Release
    recalled: str = ""
    """Why it was recalled, or what it descends from was; "" when nothing was."""
    ancestors: frozenset[str] = frozenset()
    """Digests of the artifacts that its checkpoint descends from, by record."""


@dataclass(frozen=True)
class Start:
    """What the student starts from."""

    fork_point: str
    tokenizer: str
    template: str


def check(candidates: Mapping[str, Candidate], start: Start) -> list[Finding]:
    """Return what speaks against merging ``candidates`` (by domain) into a student from ``start``.

    Refusals first. An empty list means that by record everything fits.
    """
    findings: list[Finding] = []
    for domain, candidate in candidates.items():
        findings += _check_one(domain, candidate, start)
    findings += _shared_checkpoints(candidates)
    order = {"refusal": 0, "warning": 1, "note": 2}
    return sorted(findings, key=lambda finding: (order[finding.severity], finding.subject))


def _check_one(domain: str, candidate: Candidate, start: Start) -> list[Finding]:
    release, subject = candidate.release, candidate.reference
    found = [
        _differs(subject, "fork-point", release.fork_point.digest, start.fork_point),
        _differs(subject, "tokenizer", release.tokenizer, start.tokenizer),
        _differs(subject, "template", release.template, start.template),
        _wrong_domain(subject, domain, release),
        _recalled(subject, candidate),
        _false_ancestry(subject, candidate),
    ]
    return [finding for finding in found if finding is not None]


_CURE = {
    "fork-point": (
        "merge teachers of one fork point only: re-train this teacher from the student's fork "
        "point, or leave it out"
    ),
    "tokenizer": (
        "token-level distillation needs the same ids: re-train this teacher with the student's "
        "tokenizer, or leave it out"
    ),
    "template": (
        "the teacher would score prompts that it never saw in this form: release it with the "
        "student's chat template, or leave it out"
    ),
}


def _differs(subject: str, what: str, theirs: str, ours: str) -> Finding | None:
    if theirs == ours:
        return None
    evidence = f"the {what} of {subject} is {theirs}, the student's is {ours}"
    return Finding(f"other-{what}", "refusal", subject, evidence, _CURE[what])


def _wrong_domain(subject: str, domain: str, release: Release) -> Finding | None:
    if release.domain == domain:
        return None
    return Finding(
        "swapped-domain",
        "refusal",
        subject,
        f"{subject} is asked for as the teacher of {domain!r}, its release says {release.domain!r}",
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
            "warning",
            subject,
            f"no record says how the checkpoint of {subject} was made",
            "release it through `provost run teacher`, which writes the records; until then only "
            "the measurement speaks for its ancestry",
        )
    if fork_point in candidate.ancestors:
        return None
    return Finding(
        "false-ancestry",
        "refusal",
        subject,
        f"{subject} declares the fork point {fork_point}, its records descend from "
        f"{len(candidate.ancestors)} artifacts and that is none of them",
        "ask the owner; correct the release, or leave the teacher out",
    )


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
