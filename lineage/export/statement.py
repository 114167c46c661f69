"""A record as an in-toto statement with SLSA provenance, for people and tools outside.

The subject is the output; every input stands among the resolved dependencies by its digest, with
role and weight as annotations; the settings are the external parameters. ``signing`` can wrap it.
"""

from pydantic import JsonValue

from lineage.digest import hex_of
from lineage.errors import LineageError
from lineage.record import Attestation, Input, Records

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:provost:derivation:1"


def to_in_toto(records: Records, record: str) -> dict[str, JsonValue]:
    """Return a record, with its newest output, as an in-toto statement of SLSA provenance.

    Raises LineageError for a record without an output.
    """
    derivation, attestation = records.read(record), records.output(record)
    if attestation is None:
        raise LineageError(
            f"record {record} has no output in this store: there is nothing to make a statement of"
        )
    return {
        "_type": STATEMENT_TYPE,
        "subject": [_subject(attestation)],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "kind": derivation.kind,
                    "settings": derivation.settings,
                    "seed": derivation.seed,
                },
                "internalParameters": {},
                "resolvedDependencies": [
                    *(_dependency(item) for item in derivation.inputs),
                    *_code(derivation.source, attestation),
                ],
            },
            "runDetails": {
                "builder": {"id": f"urn:provost:{attestation.owner or 'unknown'}"},
                "metadata": _metadata(record, attestation),
            },
        },
    }


def chain_to_in_toto(records: Records, order: list[str]) -> list[dict[str, JsonValue]]:
    """Return the statements of records in the order given; without an output there is none."""
    return [to_in_toto(records, record) for record in order if records.output(record) is not None]


def _subject(attestation: Attestation) -> JsonValue:
    return {
        "name": f"{attestation.output_kind}/{hex_of(attestation.output)[:12]}",
        "digest": {"sha256": hex_of(attestation.output)},
    }


def _dependency(item: Input) -> JsonValue:
    annotations: dict[str, JsonValue] = {"role": item.role}
    if item.name:
        annotations["name"] = item.name
    if item.weight is not None:
        annotations["weight"] = item.weight
    if item.record:
        annotations["record"] = item.record
    return {
        "name": f"{item.role} {item.name}".strip(),
        "digest": {"sha256": hex_of(item.artifact)},
        "annotations": annotations,
    }


def _code(source: str, attestation: Attestation) -> list[JsonValue]:
    """Return the source, the commit and the image as dependencies, as far as they are known."""
    found: list[JsonValue] = []
    if source.startswith("sha256:"):
        found.append({"name": "source", "digest": {"sha256": hex_of(source)}})
    if attestation.commit:
        notes: JsonValue = {"difference": attestation.dirty or "none"}
        digest: JsonValue = {"gitCommit": attestation.commit}
        found.append({"name": "commit", "digest": digest, "annotations": notes})
    if attestation.image.startswith("sha256:"):
        found.append({"name": "image", "digest": {"sha256": hex_of(attestation.image)}})
    return found


def _metadata(record: str, attestation: Attestation) -> JsonValue:
    metadata: dict[str, JsonValue] = {"invocationId": attestation.execution or record}
    if attestation.started:
        metadata["startedOn"] = attestation.started
    if attestation.finished:
        metadata["finishedOn"] = attestation.finished
    return metadata
