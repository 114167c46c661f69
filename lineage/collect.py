"""From the references that a person gave to what the record check needs to know of each."""

from collections.abc import Iterable, Mapping

from lineage.artifacts import Release, read_manifest
from lineage.compatibility import Candidate
from lineage.graph import Lineage
from lineage.record import Records
from lineage.registry import Entry, Registry
from lineage.store import Store


def collect(store: Store, references: Mapping[str, str]) -> dict[str, Candidate]:
    """Resolve each domain's reference, once, to its release with what its records prove.

    A recalled version is collected, with the recall as its fault, so that a check can report all
    that is wrong at once. Raises UnknownReferenceError for a reference that names nothing, and
    LineageError for a release that misses a part.
    """
    registry, lineage, records = Registry(store), Lineage(store), Records(store)
    recalls = {
        entry.digest: f"{_at(entry)} was recalled: {event.reason}"
        for entry, event in registry.recalls()
    }
    found = {}
    for domain, reference in references.items():
        entry = registry.resolve(reference, allow_recalled=True)
        release = read_manifest(store, entry.digest, Release)
        made_by = release.checkpoint.record
        family = [made_by, *lineage.ancestors(made_by)] if made_by else []
        artifacts = family_artifacts(records, family)
        found[domain] = Candidate(
            reference=_at(entry),
            release=release,
            recalled=recalls.get(entry.digest) or _first_recalled(artifacts, recalls),
            ancestors=artifacts,
        )
    return found


def family_artifacts(records: Records, family: Iterable[str]) -> frozenset[str]:
    """Return every artifact that the records of a family took or gave."""
    found: set[str] = set()
    for record in family:
        found |= {item.artifact for item in records.read(record).inputs}
        found |= {attestation.output for attestation in records.attestations(record)}
    return frozenset(found)


def _first_recalled(artifacts: Iterable[str], recalls: Mapping[str, str]) -> str:
    return next(
        (f"an ancestor: {recalls[item]}" for item in sorted(artifacts) if item in recalls), ""
    )


def _at(entry: Entry) -> str:
    return f"{entry.name}@{entry.version}"
