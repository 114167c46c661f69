"""A record as an in-toto statement with SLSA provenance v1, for people and tools outside.

The subjects are the files that came out, by the SHA-256 of their bytes: what a verifier has in
hand. Inputs, code and image are the resolved dependencies; kind, settings and seed are the external
parameters, which one page for each kind of record defines (docs/derivations).
"""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from pydantic import JsonValue

from lineage.digest import hex_of
from lineage.errors import LineageError
from lineage.export.origin import (
    TREE,
    artifact_uri,
    code_dependencies,
    digest_set,
    files_of,
    hub_uri,
    invocation,
    platform,
)
from lineage.export.subject import NewestOutput
from lineage.records.record import Attestation, Input, Records
from lineage.store.store import Store

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
RELEASE_TYPE = "https://in-toto.io/attestation/release/v0.1"


def build_type(kind: str, repository: str = "") -> str:
    """Return the URI of the page that defines a kind of record; a name where no page is known."""
    if not repository:
        return f"urn:provost:derivation:{kind}:1"
    return f"{repository}/blob/HEAD/docs/derivations/{kind}.md"


def made_of(records: Records, record: str) -> NewestOutput:
    """Return a record with its newest output; raise LineageError if it has no output."""
    attestation = records.output(record)
    if attestation is None:
        raise LineageError(
            f"record {record} has no output in this store: nothing can be exported; run the "
            "step again, or name another record"
        )
    return NewestOutput(record, records.read(record), attestation)


def provenance(store: Store, made: NewestOutput, repository: str = "") -> dict[str, JsonValue]:
    """Return a record as an in-toto statement of SLSA provenance.

    Args:
        store: The store that holds the record's output.
        made: The record.
        repository: The code's https address; "" if unknown.
    """
    derivation, attestation = made.derivation, made.attestation
    return {
        "_type": STATEMENT_TYPE,
        "subject": _subjects(store, attestation),
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": build_type(derivation.kind, repository),
                "externalParameters": {
                    "kind": derivation.kind,
                    "settings": derivation.settings,
                    "seed": derivation.seed,
                },
                "internalParameters": _circumstances(attestation),
                "resolvedDependencies": [
                    *(_dependency(store, item) for item in derivation.inputs),
                    *_from_hub(made),
                    *code_dependencies(derivation.source, attestation, repository),
                ],
            },
            "runDetails": {
                "builder": {"id": platform(attestation)},
                "metadata": _metadata(made.record, attestation),
                "byproducts": _byproducts(attestation),
            },
        },
    }


def chain(
    store: Store, family: Sequence[NewestOutput], repository: str = ""
) -> list[dict[str, JsonValue]]:
    """Return the statements of records in the order given."""
    return [provenance(store, made, repository) for made in family]


def release(name: str, files: Mapping[str, str]) -> dict[str, JsonValue]:
    """Return the in-toto release statement of a folder: what it is, and every file of it.

    Args:
        name: ``student.general@2``, or a digest.
        files: Path to digest.
    """
    product, _, version = name.partition("@")
    purl = f"pkg:generic/{quote(product)}" + (f"@{quote(version)}" if version else "")
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": path, "digest": {"sha256": hex_of(digest)}}
            for path, digest in sorted(files.items())
        ],
        "predicateType": RELEASE_TYPE,
        "predicate": {"purl": purl},
    }


def _subjects(store: Store, attestation: Attestation) -> list[JsonValue]:
    """Return each file, and the folder as a whole where it is one."""
    tree = files_of(store, attestation.output)
    if tree is None:
        digest: JsonValue = {"sha256": hex_of(attestation.output)}
        return [{"name": attestation.output_kind, "digest": digest}]
    files: list[JsonValue] = [
        {"name": file.path, "digest": {"sha256": hex_of(file.digest)}} for file in tree.files
    ]
    whole: JsonValue = {
        "name": attestation.output_kind,
        "digest": {TREE: hex_of(attestation.output)},
    }
    return [*files, whole]


def _dependency(store: Store, item: Input) -> JsonValue:
    annotations: dict[str, JsonValue] = {"role": item.role}
    if item.name:
        annotations["name"] = item.name
    if item.weight is not None:
        annotations["weight"] = item.weight
    if item.record:
        annotations["record"] = item.record
    return {
        "name": f"{item.role} {item.name}".strip(),
        "uri": artifact_uri(item.artifact),
        "digest": digest_set(store, item.artifact),
        "annotations": annotations,
    }


def _from_hub(made: NewestOutput) -> list[JsonValue]:
    """Return the Hub's model that a base is a copy of."""
    source = made.derivation.settings.get("source")
    if made.derivation.kind != "base" or not isinstance(source, str):
        return []
    revision = str(made.derivation.settings.get("revision") or "")
    found: dict[str, JsonValue] = {"name": "source model", "uri": hub_uri(source, revision)}
    if revision:
        found["digest"] = {"gitCommit": revision}
    return [found]


def _circumstances(attestation: Attestation) -> dict[str, JsonValue]:
    """Return the circumstances of a run that its user did not choose."""
    found: dict[str, JsonValue] = {
        "owner": attestation.owner,
        "task": attestation.task,
        "host": attestation.host,
        "taskVersion": attestation.flyte.version if attestation.flyte else "",
        "packages": dict(attestation.packages),
        "notes": attestation.notes,
    }
    return {"attempt": attestation.attempt} | {key: item for key, item in found.items() if item}


def _byproducts(attestation: Attestation) -> list[JsonValue]:
    if not attestation.metrics:
        return []
    digest: JsonValue = {"sha256": hex_of(attestation.metrics)}
    return [{"name": "metrics", "digest": digest, "mediaType": "application/jsonl"}]


def _metadata(record: str, attestation: Attestation) -> JsonValue:
    metadata: dict[str, JsonValue] = {"invocationId": invocation(attestation) or record}
    if attestation.started:
        metadata["startedOn"] = attestation.started
    if attestation.finished:
        metadata["finishedOn"] = attestation.finished
    return metadata
