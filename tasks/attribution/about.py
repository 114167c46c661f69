"""What an audit says beside its numbers: whom to ask, what was waived, what was not tested."""

import json

from tasks.attribution.document import Source, Waiver
from tasks.attribution.intervals import FEWEST
from tasks.attribution.subject import Subject, plan_of
from tasks.step import Bench


def source_of(subject: Subject, name: str) -> Source:
    """Return a part with the release and the team behind it, where it is a teacher."""
    for teacher in subject.teachers:
        if teacher.name != name:
            continue
        if teacher.planned is None:
            return Source(name=name, domain=name, record=teacher.checkpoint.record)
        planned = teacher.planned
        return Source(
            name=name,
            domain=planned.domain,
            reference=planned.reference,
            owner=planned.owner,
            record=planned.release.record,
        )
    return Source(name=name)


def start_words(subject: Subject) -> str:
    """Return what the round began with, in words."""
    published = subject.published
    is_fork_point = published and published.fork_point.digest == subject.start.digest
    return "the fork point" if is_fork_point else "the start of this round"


def approvals(bench: Bench, subject: Subject) -> tuple[str, ...]:
    """Return what the check by record noted and let pass when the plan was made."""
    if subject.published is None:
        return ()
    notes = plan_of(bench, subject.published).notes
    return tuple(f"{n.subject}: {n.evidence} ({n.severity}, {n.code})" for n in notes)


def waivers(bench: Bench, subject: Subject) -> tuple[Waiver, ...]:
    """Return the signed exceptions that the student carries."""
    digests = subject.published.waivers if subject.published else ()
    return tuple(
        Waiver(digest=digest, text=_readable(bench.store.get_bytes(digest))) for digest in digests
    )


def _readable(data: bytes) -> str:
    """Return a JSON document one field a line."""
    document = json.loads(data)
    fields = document.items() if isinstance(document, dict) else [("waiver", document)]
    return "\n".join(f"{name}: {value}" for name, value in fields)


def not_tested(subject: Subject, count: int, *, verified: bool) -> tuple[str, ...]:
    """Return what the reader must not take from the audit."""
    found = []
    if not verified:
        found.append(
            "Absence: the shares say through whose updates the behaviour came, not what the "
            "student would do without a teacher. Retrain to know: `provost audit STUDENT --verify "
            "1`."
        )
    if count < FEWEST:
        found.append(
            f"Other wordings: {count} behaviour{'s' * (count > 1)} cannot show whether the "
            f"finding holds for prompts like it; ask with a set of {FEWEST} or more."
        )
    found += [
        "Why a teacher holds the behaviour: its own climb is its team's to explain.",
        "Earlier rounds: what was there when this round began is one amount.",
        "Rollouts outside the ledger's sample, which keeps "
        f"{subject.ledger.manifest.settings.rollouts_per_teacher} of each teacher a step.",
    ]
    return tuple(found)
