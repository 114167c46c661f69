"""The subject of an export: a model with everything that its records say about it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pydantic import JsonValue

from lineage.artifacts import Artifact, Release, Student, parse_manifest
from lineage.compatibility.collect import family_artifacts
from lineage.errors import AmbiguousReferenceError, LineageError, UnknownReferenceError
from lineage.graph.graph import Lineage, checkpoint_named
from lineage.graph.handed import weight_ancestors
from lineage.records.record import Attestation, Derivation, Records
from lineage.registry.names import TEACHER
from lineage.registry.registry import Registry
from lineage.registry.slots import Entry
from lineage.registry.survey import survey
from lineage.registry.valid_recalls import Used, recalls_of
from lineage.store.store import Store

NOT_RECORDED = "not recorded"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True)
class NewestOutput:
    """One record with its newest output that is still in the store."""

    record: str
    derivation: Derivation
    attestation: Attestation


@dataclass(frozen=True)
class Named:
    """A release with the registry version that people call it by."""

    name: str
    digest: str
    release: Release


@dataclass(frozen=True)
class Subject:
    """A model that is exported."""

    store: Store
    name: str
    """Registered name, such as ``student.general@2``; "" for an unregistered checkpoint."""
    record: str
    """Record of the student or release; for neither, of the checkpoint."""
    checkpoint: Artifact
    manifest: Release | Student | None
    family: tuple[NewestOutput, ...]
    """The record and all of its ancestors that have an output, nearest first."""
    releases: tuple[Named, ...]
    """Releases of every teacher that the model is or descends from, sorted by name."""
    recalled: tuple[str, ...]
    """What was recalled of it: ``teacher.math@1: leak``."""

    @property
    def manifest_digest(self) -> str:
        """Digest of the release or student; "" for a checkpoint that is neither."""
        if self.manifest is None:
            return ""
        return next(i.attestation.output for i in self.family if i.record == self.record)

    @property
    def title(self) -> str:
        """The registered name, or a description of a checkpoint without one."""
        return self.name or f"{self.made.derivation.kind} {self.checkpoint.digest[7:19]}"

    @cached_property
    def made(self) -> NewestOutput:
        """The record that made the checkpoint."""
        wanted = self.checkpoint
        for item in self.family:
            if item.record == wanted.record or (
                not wanted.record and item.attestation.output == wanted.digest
            ):
                return item
        raise LineageError(
            f"no record of this store made the weights of {self.name or self.record}, so their "
            "origin is unknown: have the model released with its records"
        )

    @cached_property
    def base(self) -> NewestOutput | None:
        """The base that the weights come from, or are; without one, the nearest in the family.

        The family may hold other bases: those of models that wrote what this one was trained on.
        """
        own = weight_ancestors(
            Records(self.store), self.checkpoint.digest, self.made.record if self.family else ""
        )
        weights = (item for item in self.bases if item.attestation.output in own)
        return next(weights, next(iter(self.bases), None))

    @property
    def bases(self) -> list[NewestOutput]:
        """All bases of the family, nearest first."""
        return [item for item in self.family if item.derivation.kind == "base"]

    @property
    def brought_base(self) -> NewestOutput | None:
        """The base if it was imported; None if it was trained from scratch."""
        return self.base if self.base and is_brought(self.base) else None

    @property
    def hub_base(self) -> str:
        """The base's id on the Hugging Face Hub; "" if it is from another source."""
        return hub_id(self.base) if self.base else ""

    @cached_property
    def scores(self) -> Mapping[str, JsonValue]:
        """The scorecard's JSON; empty without a scorecard."""
        if self.manifest is None:
            return {}
        try:
            card = json.loads(self.store.get_bytes(self.manifest.scorecard.digest))
        except (ValueError, RecursionError):
            return {}
        return card if isinstance(card, dict) else {}


def is_brought(base: NewestOutput) -> bool:
    """Return whether a base was imported; else it was trained from scratch."""
    return bool(base.derivation.settings.keys() & {"source", "files"})


def hub_id(base: NewestOutput) -> str:
    """Return a base's id on the Hugging Face Hub; "" if it is from another source."""
    source = base.derivation.settings.get("source")
    return source if isinstance(source, str) and _HUB_ID.fullmatch(source) else ""


def subject_of(store: Store, reference: str, *, allow_recalled: bool = False) -> Subject:
    """Return what a reference names: a student, a teacher's release or a checkpoint.

    Raises:
        UnknownReferenceError: if the reference names nothing.
        RecalledError: if the version was recalled and recalled versions are not allowed.
        LineageError: if the reference does not name a model.
    """
    lineage, records = Lineage(store), Records(store)
    record = lineage.find(reference)
    checkpoint = checkpoint_named(store, reference)
    output = records.output(record)
    assert output is not None  # a model has an output
    if not allow_recalled:
        Registry(store).refuse_recalled([Used(output.output, record)])
    family = tuple(_family(records, [record, *lineage.ancestors(record)]))
    return Subject(
        store=store,
        name=_name(store, reference, output.output),
        record=record,
        checkpoint=checkpoint,
        manifest=_manifest(store, output),
        family=family,
        releases=tuple(_releases(store, {item.attestation.output for item in family})),
        recalled=tuple(_recalled(store, records, [item.record for item in family])),
    )


def _family(records: Records, order: list[str]) -> list[NewestOutput]:
    found = []
    for record in order:
        attestation = records.output(record)
        if attestation is not None:
            found.append(NewestOutput(record, records.read(record), attestation))
    return found


def _name(store: Store, reference: str, digest: str) -> str:
    """Return the version that a reference names, or one under which its digest is registered."""
    registry = Registry(store)
    for asked in (reference, digest):
        try:
            entry = registry.resolve(asked, allow_recalled=True)
        except (UnknownReferenceError, AmbiguousReferenceError):
            continue
        if entry.digest == digest:
            return f"{entry.name}@{entry.version}"
    return ""


def _manifest(store: Store, output: Attestation) -> Release | Student | None:
    if output.output_kind == "student":
        return parse_manifest(store.get_bytes(output.output), Student)
    if output.output_kind == "release":
        return parse_manifest(store.get_bytes(output.output), Release)
    return None


def _releases(store: Store, artifacts: set[str]) -> list[Named]:
    """Return the registered releases that are in ``artifacts`` themselves or by their checkpoint.

    What cannot be read is left out, so damage under one name does not stop another export.
    """
    known, found = survey(store, TEACHER), dict[str, Named]()
    for entry in known.entries:
        release = known.attempt(entry.name, lambda entry=entry: _release(store, entry), None)  # type: ignore[misc]
        if release is None:
            continue
        if entry.digest in artifacts or release.checkpoint.digest in artifacts:
            found[entry.digest] = Named(f"{entry.name}@{entry.version}", entry.digest, release)
    return sorted(found.values(), key=lambda item: item.name)


def _release(store: Store, entry: Entry) -> Release:
    return parse_manifest(store.get_bytes(entry.digest), Release)


def _recalled(store: Store, records: Records, family: list[str]) -> list[str]:
    concerned = family_artifacts(records, family)
    recalls = set(recalls_of(Registry(store), concerned).values())
    return sorted(f"{entry.name}@{entry.version}: {event.reason}" for entry, event in recalls)


def require_kind(subject: Subject, kind: str) -> None:
    """Raise LineageError unless the subject is of the wanted kind, student or teacher."""
    wanted = Student if kind == "student" else Release
    if not isinstance(subject.manifest, wanted):
        raise LineageError(
            f"{subject.title} is not a {kind}: `provost {kind} list` shows them; `provost lineage "
            "export` takes any model"
        )
