"""The result of a run, in the same few lines for every kind of run and at any later time."""

import shlex
from collections.abc import Iterator

from pydantic import Field

from lineage.artifacts import Release, Student
from lineage.errors import plain
from lineage.export.card import domains_of, left_out_of, own_method
from lineage.export.subject import Subject, subject_of
from lineage.frozen import Frozen
from lineage.graph.graph import Lineage
from lineage.launches.history import launch_of
from lineage.launches.launch import Launch
from lineage.records.record import Records
from lineage.registry.survey import overview
from lineage.store.store import Store

_NOT_MEASURED = {
    "surgery": "Its updates were computed with the left-out teacher present: a rehearsal is "
    "closer to a retrain.",
    "rehearsal": "Nothing was sampled: it trained again on the responses of the student with "
    "all its teachers.",
}
"""Kinds of record that make a student without some teachers, with what their weights lack."""


class Score(Frozen):
    """A score and the number that it is compared with."""

    what: str
    """A domain, a teacher, or whatever was scored."""
    value: float
    low: float | None = None
    high: float | None = None
    """Upper end of its interval; None without an interval."""
    against: dict[str, float] = Field(default_factory=dict)
    """What it is compared with, by name: the fork point, the teacher, a control."""


class Summary(Frozen):
    """The result of a run."""

    kind: str
    """student, teacher, checkpoint, gate, audit or surgery."""
    name: str
    """Registry version, such as ``student.general@2``; "" for what has no name."""
    digest: str
    record: str = ""
    """Record of the result; "" if it has no record of its own."""
    aliases: list[str] = Field(default_factory=list)
    verdict: str
    unit: str = "mean score on held-out prompts"
    scores: list[Score] = Field(default_factory=list)
    left_out: dict[str, str] = Field(default_factory=dict)
    """Controls that the scores are not compared with, and why each could not be made."""
    warnings: list[str] = Field(default_factory=list)
    report: str | None = None
    """Path or address of the report page; None without a page."""
    weights: str | None = None
    """Hugging Face folder; None without weights, or if the store is remote."""
    seconds: float | None = None
    """Duration in seconds; None if not recorded."""
    next: list[str] = Field(default_factory=list)
    """Suggested next commands."""


def summary_of(store: Store, reference: str, seconds: float | None = None) -> Summary:
    """Return the summary of a student, a teacher or a checkpoint.

    Args:
        store: The store that holds it.
        reference: A name, an alias or a digest.
        seconds: How long the run took; else the time of the step that made the weights.

    Raises:
        UnknownReferenceError: if the reference names nothing.
        LineageError: if the reference does not name a model.
    """
    subject = subject_of(store, reference, allow_recalled=True)
    known = overview(store)
    output = subject.manifest_digest or subject.checkpoint.digest
    entries = [e for e in known.entries if f"{e.name}@{e.version}" == subject.name]
    launch = _launch(store, subject, output)
    recorded = subject.made.attestation.seconds or None
    return Summary(
        kind=_kind(subject),
        name=subject.name,
        digest=output,
        record=subject.record,
        aliases=known.pointing_at(entries[0]) if entries else [],
        verdict=", ".join([*(known.status(e) for e in entries[:1]), *_verdict(launch)])
        or ("made, not measured" if _lack(subject) else "made"),
        scores=list(_scores(subject)),
        left_out=left_out_of(subject),
        warnings=[*_warnings(subject), *_lack(subject), *_findings(launch)],
        report=report_of(store, output, subject.record),
        weights=weights_of(store, subject),
        seconds=recorded if seconds is None else seconds,
        next=list(_next(subject)),
    )


def weights_of(store: Store, subject: Subject) -> str | None:
    """Return the folder of a model's weights, verified; None for a store on other machines."""
    if is_remote(store):
        return None
    return str(store.tree(subject.checkpoint.digest))


def is_remote(store: Store) -> bool:
    """Return whether reading a model would fetch it from elsewhere."""
    return "://" in store.uri


def report_of(store: Store, digest: str, record: str) -> str | None:
    """Return the page of the newest report on a published manifest; None without a report.

    A report is of the project that published: anybody may attest one, and people open it.
    """
    records = Records(store)
    project, found = records.read(record).project, []
    for user in Lineage(store).index.users(digest):
        made = records.read(user)
        is_own = (made.kind, made.project) == ("report", project)
        attestation = records.output(user) if is_own else None
        if attestation is not None:
            found.append((attestation.finished, attestation.output))
    return str(store.tree(max(found)[1]) / "report.html") if found else None


def _kind(subject: Subject) -> str:
    if isinstance(subject.manifest, Student):
        return "student"
    if _lack(subject):
        return "surgery"
    return "teacher" if isinstance(subject.manifest, Release) else "checkpoint"


def _lack(subject: Subject) -> list[str]:
    """Return what a student that was made without some teachers lacks."""
    if subject.manifest is not None:
        return []
    return [text for kind, text in _NOT_MEASURED.items() if kind == subject.made.derivation.kind]


def _launch(store: Store, subject: Subject, digest: str) -> Launch | None:
    """Return the plan that a student came of."""
    return launch_of(store, digest) if isinstance(subject.manifest, Student) else None


def _verdict(launch: Launch | None) -> list[str]:
    """Return what the gate said of each teacher."""
    if launch is None:
        return []
    return [f"{each.name} {each.words()}" for each in launch.verdicts] or ["teachers not measured"]


def _scores(subject: Subject) -> Iterator[Score]:
    own = own_method(subject)
    for domain, methods in domains_of(subject).items():
        mine = methods.get(own)
        if mine is not None:
            others = {name: each["mean"] for name, each in methods.items() if name != own}
            yield Score(
                what=domain,
                value=mine["mean"],
                low=mine["low"],
                high=mine["high"],
                against=others,
            )


def _warnings(subject: Subject) -> Iterator[str]:
    for what in subject.recalled:
        yield f"recalled: {what}"
    own = own_method(subject)
    for domain, methods in domains_of(subject).items():
        mine, start = methods.get(own), methods.get("fork_point")
        if mine is None:
            continue
        if mine["mean"] == 0:
            yield f"{domain}: no prompt is solved"
        elif start is not None and mine["high"] < start["low"]:
            yield (
                f"{domain}: worse than the fork point, {mine['mean']:.2f} against "
                f"{start['mean']:.2f}"
            )


def _findings(launch: Launch | None) -> Iterator[str]:
    if launch is None:
        return
    for finding in launch.findings:
        if finding.severity != "note":
            yield f"{finding.subject} [{finding.code}], a {finding.severity} of the plan"
    for each in launch.verdicts:
        if not each.fits:
            yield f"the gate says of {each.name}: {each.words()}"
    if launch.waivers:
        yield f"{len(launch.waivers)} waivers: {'; '.join(w.reason for w in launch.waivers)}"


def _next(subject: Subject) -> Iterator[str]:
    reference = subject.name or subject.checkpoint.digest
    if isinstance(subject.manifest, Student):
        yield command("audit", reference)
        yield command("student", "weights", reference)
    elif isinstance(subject.manifest, Release):
        most = str(subject.manifest.sampling.max_new_tokens)
        teacher = reference.removeprefix("teacher.")
        yield command("gate", "--teachers", teacher, "--max-new-tokens", most)
        yield command("teacher", "export", reference, "DIR")
    else:
        yield command("lineage", "export", reference, "DIR")


def command(*words: str) -> str:
    """Return a command line of ``provost``, quoted for a shell."""
    return shlex.join(["provost", *words])


def text_of(summary: Summary) -> str:
    """Return the summary as text: name, version, verdict, scores with comparisons, and paths."""
    return "\n".join(map(plain, _lines_of(summary)))


def _lines_of(summary: Summary) -> Iterator[str]:
    yield f"{summary.name or summary.kind}: {summary.verdict}"
    for score in summary.scores:
        yield _score_line(score)
    yield from left_out_lines(summary)
    for warning in summary.warnings:
        yield f"warning: {warning}"
    for name, place in (("report", summary.report), ("weights", summary.weights)):
        if place:
            yield f"{name}: {place}"
    yield f"digest: {summary.digest}"


def left_out_lines(summary: Summary) -> Iterator[str]:
    """Yield a line for each control that is missing beside the scores."""
    for name, reason in summary.left_out.items():
        yield f"left out {name.replace('_', ' ')}: {reason}"


def _score_line(score: Score) -> str:
    others = ", ".join(
        f"{name.replace('_', ' ')} {value:.2f}" for name, value in score.against.items()
    )
    return f"{score.what}: {score.value:.2f}" + (f" ({others})" if others else "")
