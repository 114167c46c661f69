"""Collects what the record check needs to know of each teacher, from the references given."""

from collections.abc import Iterable, Mapping
from typing import TypedDict

from lineage.artifacts import Release, read_manifest
from lineage.compatibility.checks import Candidate, SignatureState
from lineage.compatibility.sketch import Sketch, read_sketch
from lineage.errors import CorruptError, LineageError
from lineage.graph.graph import Lineage
from lineage.records.record import Records
from lineage.registry.names import signature_of
from lineage.registry.registry import Entry, Registry
from lineage.registry.valid_recalls import Used, recalls_of
from lineage.store.store import Store


class _Signed(TypedDict):
    signature: SignatureState
    signed_by: str


def collect(
    store: Store,
    references: Mapping[str, str],
    start_record: str = "",
) -> dict[str, Candidate]:
    """Resolve each domain's reference once and return its release with what its records prove.

    Args:
        store: The store that holds them.
        references: Domain, or any other key, to the reference.
        start_record: Record of the student's start, from which each teacher's distance is counted.

    A recalled version is collected, with the recall as its fault, so that a check can report all
    that is wrong at once. Raises UnknownReferenceError for a reference that names nothing, and
    LineageError for a release that misses a part.
    """
    registry, lineage, records = Registry(store), Lineage(store), Records(store)
    entries = {
        domain: registry.resolve(reference, allow_recalled=True)
        for domain, reference in references.items()
    }
    releases = {name: read_manifest(store, item.digest, Release) for name, item in entries.items()}
    families = {name: _family(lineage, records, item) for name, item in releases.items()}
    own = {name: Used(item.digest, item.record, item.name) for name, item in entries.items()}
    concerned = {*own.values()}.union(*families.values())
    recalls = {  # one read for all teachers: it goes through the recalls of every name
        used: f"{_at(recalled)} was recalled: {event.reason}"
        for used, (recalled, event) in recalls_of(registry, concerned).items()
    }
    return {
        domain: Candidate(
            reference=_at(entry),
            release=releases[domain],
            recalled=recalls.get(own[domain]) or _first_recalled(families[domain], recalls),
            ancestors=frozenset(used.digest for used in families[domain]),
            steps_to_fork=_steps_back(lineage, releases[domain].checkpoint.record, start_record),
            sketch=_sketch(store, releases[domain]),
            **_signature(registry, entry),
        )
        for domain, entry in entries.items()
    }


def _family(lineage: Lineage, records: Records, release: Release) -> frozenset[Used]:
    """Return a release's checkpoint with every artifact that it and its ancestors took."""
    made_by = release.checkpoint.record
    if not made_by:
        return frozenset()
    taken = family_artifacts(records, [made_by, *lineage.ancestors(made_by)])
    return taken | {Used(release.checkpoint.digest, made_by)}


def _steps_back(lineage: Lineage, record: str, other: str) -> int | None:
    """Return the records from one back to the nearest common ancestor of both."""
    if not record or not other:
        return None
    common = lineage.nearest_common_ancestors([record, other])
    return min((len(lineage.path(ancestor, record)) - 1 for ancestor in common), default=None)


def _sketch(store: Store, release: Release) -> Sketch | None:
    """Return the sketch of a release's supervised data; None if the blob is not a sketch."""
    if release.sft is None:
        return None
    try:
        return read_sketch(store, release.sft.sketches)
    except CorruptError:
        raise
    except LineageError:
        return None  # an older kind of sketch, or another file: overlap is unknown


def _signature(registry: Registry, entry: Entry) -> _Signed:
    found = signature_of(registry, entry)
    return {"signature": found.state, "signed_by": found.team}


def family_artifacts(records: Records, family: Iterable[str]) -> frozenset[Used]:
    """Return every artifact that the records of a family took, by their stated inputs.

    What a record is said to have given does not count: anybody may append such a statement to a
    record, and with the digest of a recalled artifact he would withdraw another team's work.
    """
    return frozenset(
        Used(item.artifact, item.record)
        for record in family
        for item in records.read(record).inputs
    )


def _first_recalled(family: Iterable[Used], recalls: Mapping[Used, str]) -> str:
    recalled = sorted(recalls[used] for used in family if used in recalls)
    return f"an ancestor: {recalled[0]}" if recalled else ""


def _at(entry: Entry) -> str:
    return f"{entry.name}@{entry.version}"
