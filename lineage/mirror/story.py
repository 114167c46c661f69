"""The description of a run or a version: its origin, with links.

Pure. MLflow shows the text as Markdown, with links inside its own pages.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from lineage.artifacts import Artifact, Release, Student
from lineage.mirror.run_view import MetricRow, clip
from lineage.records.record import Attestation, Derivation, Input

MOST = 5000
"""Characters of a description; MLflow's columns hold no more."""
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+!|~])")

_WEB = re.compile(r"https?://[^\s()<>]+")

Link = Callable[[str], str]
"""Gives, for a record, the address of its run in MLflow's pages; "" where it has none."""


def plain(text: str) -> str:
    """Return text on one line, escaped so that Markdown shows it unchanged."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def linked(text: str, address: str) -> str:
    """Return a text as a link, or as it is without an address."""
    return f"[{plain(text)}]({address})" if address else plain(text)


def short(digest: str) -> str:
    """Return the short form of a digest for people."""
    return digest.removeprefix("sha256:")[:12]


@dataclass(frozen=True)
class Links:
    """Links from a run's description to other pages."""

    record: Link
    teachers: Mapping[str, str] = field(default_factory=dict)
    """References such as ``teacher.math@3``, by the digest of their release or weights."""
    namespace: str = ""
    """Prefix of registered models."""

    def line(self, item: Input) -> str:
        """Return the line of an input: role and name, digest, weight, teacher."""
        words = [item.role, item.name] if item.name else [item.role]
        line = f"- {linked(' '.join(words), self.record(item.record))} `{short(item.artifact)}`"
        line += f", weight {item.weight:g}" if item.weight is not None else ""
        if reference := self.teachers.get(item.artifact):
            line += f", {self.teacher(reference)}"
        return line

    @property
    def references(self) -> list[str]:
        """The teachers, each once."""
        return [*dict.fromkeys(self.teachers.values())]

    def teacher(self, reference: str) -> str:
        """Return a reference as a link to its version."""
        name, _, number = reference.rpartition("@")
        return linked(reference, version_page(model_of(name, self.namespace), number))


def model_of(name: str, namespace: str) -> str:
    """Return the registered model that shows a registry name."""
    return f"{namespace}.{name}" if namespace else name


def version_page(model: str, number: str) -> str:
    """Return the address of a version in MLflow's pages."""
    return f"#/models/{quote(model)}/versions/{number}"


def story_of_run(derivation: Derivation, attestation: Attestation, links: Links) -> str:
    """Return the description of a record's run."""
    made = f"{attestation.output_kind} `{short(attestation.output)}`"
    owner = f" by {plain(attestation.owner)}" if attestation.owner else ""
    lines = [f"Made {made}{owner}."]
    if derivation.kind == "failure":
        lines = [f"**Failed:** {plain(clip(str(derivation.settings.get('error', '')), 1500))}"]
    if derivation.kind == "plan" and links.teachers:  # the page folds all but the first lines
        lines.insert(0, f"Teachers: {', '.join(map(links.teacher, links.references))}.")
    if derivation.inputs:
        lines += ["", "Made from:", "", *map(links.line, derivation.inputs)]
    lines += ["", code_of(derivation, attestation), *_flyte(attestation)]
    lines += ["", f"More: `provost lineage show {derivation.digest()}`"]
    return clip("\n".join(lines), MOST)


def story_while_running(derivation: Derivation, links: Links) -> str:
    """Return the description of a step's run before it has an output."""
    inputs = map(links.line, derivation.inputs)
    return clip("\n".join(["Not finished.", "", "Made from:", "", *inputs]), MOST)


def _flyte(attestation: Attestation) -> list[str]:
    """Return a paragraph on the execution in Flyte, with its page in the console."""
    run = attestation.flyte
    if run is None:
        return []
    name = f"{run.project}/{run.domain}/{run.execution}"
    address = run.url if _WEB.fullmatch(run.url) else ""
    return ["", f"Ran in Flyte: {linked(name, address)}, version `{plain(run.version)}`."]


def code_of(derivation: Derivation, attestation: Attestation) -> str:
    """Return a sentence on the code of a step: commit, source digest, image."""
    commit = f"commit `{attestation.commit[:12]}`" if attestation.commit else "no commit known"
    dirty = " with uncommitted changes" if attestation.dirty else ""
    image = f", image `{plain(attestation.image)}`" if attestation.image else ""
    return f"Code: {commit}{dirty}, source `{short(derivation.source)}`{image}."


@dataclass(frozen=True)
class TeacherStory:
    """One teacher in a student's description."""

    release: Release
    reference: str
    """Reference as written, such as ``teacher.math@3``."""
    address: str
    """Address of its version in MLflow's pages."""


@dataclass(frozen=True)
class StudentStory:
    """How a student was made."""

    record: str
    """Record of the student itself; its run has the report."""
    plan: str
    """The plan's record; "" where none is known."""


@dataclass(frozen=True)
class Facts:
    """Facts that the descriptions of teachers and students share."""

    code: str
    """A sentence on the code that trained it."""
    base: str
    """Record of the base; "" without a base."""
    scores: Sequence[MetricRow]
    """Rows of the scorecard, named ``scorecard/METHOD/DOMAIN``."""
    left_out: Mapping[str, str]
    """Controls that the scorecard lacks, and why."""
    link: Link


def story_of_student(
    student: Student, made: StudentStory, teachers: Sequence[TeacherStory], facts: Facts
) -> str:
    """Return the description of a student's version."""
    link = facts.link
    lines = ["**Teachers**", ""]
    for share, teacher in zip(student.teachers, teachers, strict=True):
        told = f"weight {share.weight:g}, {share.tokens_routed} tokens routed"
        lines.append(f"- {linked(teacher.reference, teacher.address)}: {told}")
    lines += ["", "**Scores**", "", *_score_lines(facts.scores)]
    lines += [f"- left out {plain(name)}: {plain(why)}" for name, why in facts.left_out.items()]
    lines += ["", "**Data**", ""]
    for teacher in teachers:
        lines.append(f"- {plain(teacher.release.domain)}: {_data(teacher.release, link)}")
    lines += ["", "**Made from**", "", *_start(facts, student.fork_point.record)]
    lines.append(f"- {linked('plan', link(made.plan))}, {len(student.waivers)} waivers")
    lines.append(f"- {linked('publication', link(made.record))}, with its report as artifacts")
    lines.append(f"- {linked('training', link(student.checkpoint.record))}")
    lines.append(f"- {linked('scorecard', link(student.scorecard.record))}")
    for name, control in sorted(student.controls.items()):
        lines.append(f"- {linked(f'control {name}', link(control.record))}")
    return "\n".join([*lines, "", facts.code])


def story_of_release(release: Release, facts: Facts) -> str:
    """Return the description of a teacher's version."""
    link = facts.link
    lines = [f"Teacher of {plain(release.domain)}, license {plain(release.license)}.", ""]
    lines += ["**Scores**", "", *_score_lines(facts.scores), "", "**Made from**", ""]
    lines += _start(facts, release.fork_point.record)
    lines.append(f"- {linked('training', link(release.checkpoint.record))}")
    lines.append(f"- {_data(release, link)}")
    lines.append(f"- {linked('environment', link(release.environment.record))}")
    lines.append(f"- {linked('scorecard', link(release.scorecard.record))}")
    team = f"Team version {plain(release.team_version)}."
    return "\n".join([*lines, "", f"{facts.code} {team}"])


def _start(facts: Facts, fork_point: str) -> list[str]:
    if facts.base in {"", fork_point}:
        return [f"- {linked('base and fork point', facts.link(fork_point))}"]
    return [
        f"- {linked('base', facts.link(facts.base))}",
        f"- {linked('fork point', facts.link(fork_point))}",
    ]


def data_of(release: Release) -> dict[str, Artifact]:
    """Return the data sets behind a teacher, by what each is to it."""
    return {
        **({"demonstrations": release.sft.data} if release.sft else {}),
        "training prompts": release.prompts.train,
        "validation prompts": release.prompts.validation,
        "evaluation prompts": release.evaluation,
    }


def _data(release: Release, link: Link) -> str:
    return ", ".join(
        f"{linked(name, link(part.record))} `{short(part.digest)}`"
        for name, part in data_of(release).items()
    )


def _score_lines(scores: Sequence[MetricRow]) -> Iterator[str]:
    """Yield a line for each domain: what each method scored there."""
    domains: dict[str, list[str]] = {}
    for row in scores:
        method, _, domain = row.name.removeprefix("scorecard/").partition("/")
        domains.setdefault(domain, []).append(f"{plain(method)} {row.value:.3f}")
    for domain, each in sorted(domains.items()):
        yield f"- {plain(domain)}: {', '.join(each)}"
