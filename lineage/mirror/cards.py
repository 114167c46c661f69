"""What MLflow's pages show: a version's description and tags, reports, and where weights are."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lineage.artifacts import Release, Student, parse_manifest
from lineage.errors import CorruptError
from lineage.mirror.run_view import (
    DIGEST,
    MAX_TAG,
    RECORD,
    STATUS,
    VERSION,
    MetricRow,
    clip,
    metrics_of,
)
from lineage.mirror.story import (
    MOST,
    Facts,
    Link,
    Links,
    StudentStory,
    TeacherStory,
    code_of,
    data_of,
    plain,
    story_of_release,
    story_of_run,
    story_of_student,
)
from lineage.records.record import Attestation, Derivation, Records
from lineage.registry.registry import Registry
from lineage.registry.slots import Entry
from lineage.store.store import Store, read_tree

if TYPE_CHECKING:
    from mlflow import MlflowClient


DATA, TEACHER = "provost.data", "provost.teacher"
"""Beginnings of the tags for data sets and teachers."""
REPORTS = {"report", "gate", "audit"}
"""Kinds of output that people look at."""
_SHOWN = {".html", ".png", ".svg", ".json"}
_MOST_BYTES = 20_000_000
"""Largest size of one file in bytes; a larger file is not a page."""


@dataclass(frozen=True)
class Card:
    """The text and the tags of a version."""

    text: str
    tags: dict[str, str] = field(default_factory=dict)


class Cards:
    """Makes the cards of a store's versions."""

    def __init__(self, store: Store, link: Link, address: Callable[[str], str]) -> None:
        """Link records with ``link``, and versions such as ``teacher.math@3`` with ``address``."""
        self._store = store
        self._records = Records(store)
        self._registry = Registry(store)
        self._link, self._address = link, address

    def card(self, entry: Entry) -> Card:
        """Return the card of an entry in its current state."""
        status = self._registry.status(entry.name, entry.version)
        story, tags = self._story(entry)
        head = [self._withdrawn(entry), plain(entry.note), fetching(entry)]
        text = "\n\n".join(part for part in [*head, story] if part)
        tags = {
            VERSION: str(entry.version),
            DIGEST: entry.digest,
            RECORD: entry.record,
            STATUS: status,
            "provost.owner": entry.owner,
            **tags,
        }
        shown = {key: clip(value, MAX_TAG) for key, value in tags.items() if value}
        return Card(clip(text, MOST), shown)

    def _story(self, entry: Entry) -> tuple[str, dict[str, str]]:
        if entry.kind == "student":
            return self._student(entry)
        if entry.kind == "release":
            return self._release(entry)
        made = self._made(entry.record)
        return (story_of_run(*made, Links(self._link)), {}) if made else ("", {})

    def _student(self, entry: Entry) -> tuple[str, dict[str, str]]:
        student = parse_manifest(self._store.get_bytes(entry.digest), Student)
        inputs = self._records.read(entry.record).inputs if entry.record else ()
        plan = next((item.record for item in inputs if item.role == "plan"), "")
        teachers = [
            TeacherStory(
                parse_manifest(self._store.get_bytes(share.release), Release),
                share.reference,
                self._address(share.reference),
            )
            for share in student.teachers
        ]
        facts = self._facts(student)
        tags = {f"{TEACHER}.{share.domain}": share.reference for share in student.teachers}
        tags |= _scores_of("student", facts.scores) | {"provost.plan": plan}
        for teacher in teachers:
            tags |= _data_of(teacher.release)
        return story_of_student(student, StudentStory(entry.record, plan), teachers, facts), tags

    def _release(self, entry: Entry) -> tuple[str, dict[str, str]]:
        release = parse_manifest(self._store.get_bytes(entry.digest), Release)
        facts = self._facts(release)
        tags = _scores_of("teacher", facts.scores) | _data_of(release)
        return story_of_release(release, facts), tags

    def _facts(self, manifest: Student | Release) -> Facts:
        made = self._made(manifest.checkpoint.record)
        scored = self._made(manifest.scorecard.record)
        return Facts(
            code=code_of(*made) if made else "No code is recorded.",
            base=self._base(manifest.fork_point.record),
            scores=metrics_of(self._store, scored[1]) if scored else [],
            left_out=_left_out(scored[0]) if scored else {},
            link=self._link,
        )

    def _made(self, record: str) -> tuple[Derivation, Attestation] | None:
        attestations = self._records.attestations(record) if record else []
        return (self._records.read(record), attestations[-1]) if attestations else None

    def _base(self, record: str) -> str:
        """Return the record of the base that a fork point started from."""
        while record:
            derivation = self._records.read(record)
            if derivation.kind == "base":
                return record
            record = next((item.record for item in derivation.inputs if item.role == "start"), "")
        return ""

    def _withdrawn(self, entry: Entry) -> str:
        events = [e for e in self._registry.events(entry.name) if e.version == entry.version]
        words = {"recall": "Recalled", "retire": "Retired"}
        return "\n\n".join(
            f"**{words[event.action]}** by {plain(event.by)} on {event.at[:10]}: "
            f"{plain(event.reason) or 'no reason given'}"
            for event in events
        )


def fetching(entry: Entry) -> str:
    """Return a sentence with the command that writes a version's weights into a folder."""
    kinds = {"student": "student", "release": "teacher"}
    command = kinds.get(entry.kind, "lineage")
    reference = f"{entry.name}@{entry.version}"
    return (
        "MLflow does not hold the weights. This writes them as a Hugging Face folder: "
        f"`provost {command} export {reference} FOLDER`"
    )


def _left_out(scored: Derivation) -> dict[str, str]:
    """Return the controls that a scorecard lacks, and why."""
    found = scored.settings.get("left_out")
    return {name: str(why) for name, why in found.items()} if isinstance(found, dict) else {}


def _data_of(release: Release) -> dict[str, str]:
    """Return a tag for each data set behind a teacher."""
    return {
        f"{DATA}.{release.domain}.{name.replace(' ', '_')}": part.digest
        for name, part in data_of(release).items()
    }


def _scores_of(method: str, scores: Sequence[MetricRow]) -> dict[str, str]:
    """Return a tag for each domain that a method was scored in."""
    prefix = f"scorecard/{method}/"
    return {
        f"score.{row.name.removeprefix(prefix)}": f"{row.value:.4f}"
        for row in scores
        if row.name.startswith(prefix)
    }


def show_files(client: "MlflowClient", store: Store, digest: str, run_ids: list[str]) -> None:
    """Upload the pages and pictures of a stored folder as artifacts of the runs."""
    try:
        files = read_tree(store, digest).files
    except CorruptError:
        return  # one document, which its run names by digest
    shown = [
        file
        for file in files
        if Path(file.path).suffix in _SHOWN and "/" not in file.path and file.size <= _MOST_BYTES
    ]
    folder = store.tree(digest) if shown else Path()
    for file in shown:
        for run_id in run_ids:
            client.log_artifact(run_id, str(folder / file.path))


def mark_external(client: "MlflowClient", model_id: str, text: str) -> None:
    """Say where MLflow's loaders look that the weights of a model are kept elsewhere.

    ``text`` tells how they are fetched. Without it a loader fails on a file that is missing.
    """
    from mlflow.models.utils import get_external_mlflow_model_spec

    model = client.get_logged_model(model_id)
    with tempfile.TemporaryDirectory(prefix="provost-") as folder:
        get_external_mlflow_model_spec(model).save(Path(folder, "MLmodel"))
        Path(folder, "README.md").write_text(text + "\n", encoding="utf-8")
        client.log_model_artifacts(model_id, folder)
