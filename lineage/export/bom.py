"""A model as a CycloneDX ML-BOM: files by hash, ancestors, data, licenses, and its model card."""

import importlib.metadata
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from lineage.artifacts import Student
from lineage.digest import hex_of
from lineage.errors import LineageError
from lineage.export.card import domains_of, own_method
from lineage.export.licenses import SPDX, License
from lineage.export.origin import files_of, hub_uri
from lineage.export.subject import Named, NewestOutput, Subject
from lineage.store.store import Store
from lineage.wheels import wheels_of

FILE = "bom.cdx.json"
SPEC = "1.6"
Part = dict[str, JsonValue]
_KINDS_OF_DATA = frozenset({"dataset", "text", "responses", "comparisons"})
"""Kinds of artifacts that hold data."""
_APPROACH = {
    "rl": "reinforcement-learning",
    "rung": "reinforcement-learning",
    "external": "reinforcement-learning",
    "sft": "supervised",
    "preference": "supervised",
    "mid_training": "self-supervised",
}


def write_bom(folder: Path, subject: Subject, terms: License) -> Path:
    """Write the bill of materials of a subject and return the file."""
    file = folder / FILE
    file.write_text(json.dumps(bom_of(subject, terms), indent=1) + "\n", encoding="utf-8")
    return file


def bom_of(subject: Subject, terms: License) -> Part:
    """Return the bill of materials of a subject. The same records give the same document."""
    data = [item for item in subject.family if item.attestation.output_kind in _KINDS_OF_DATA]
    used: list[Part] = [*map(_data, data), *_teachers(subject), *_packages(subject)]
    main = _main(subject, terms, [str(item["bom-ref"]) for item in map(_data, data)])
    references: list[JsonValue] = [*sorted({str(item["bom-ref"]) for item in used})]
    identity = f"urn:provost:bom:{subject.record}"
    metadata: Part = {
        "tools": {"components": [_tool()]},
        "component": main,
    }
    if subject.made.attestation.finished:
        metadata["timestamp"] = subject.made.attestation.finished
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, identity)}",
        "version": 1,
        "metadata": metadata,
        "components": [*{str(item["bom-ref"]): item for item in used}.values()],
        "dependencies": [{"ref": str(main["bom-ref"]), "dependsOn": references}],
    }


def _tool() -> Part:
    version = importlib.metadata.version("provost")
    return {"type": "application", "name": "provost", "version": version}


def _main(subject: Subject, terms: License, data: Sequence[str]) -> Part:
    name, _, version = subject.title.partition("@")
    ancestors = [_model(item) for item in _descent(subject)]
    found: Part = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{subject.checkpoint.digest}",
        "name": name,
        "version": version or subject.checkpoint.digest,
        "licenses": _licenses([terms.name or terms.id]),
        "modelCard": _card(subject, data),
        "components": list(_files(subject.store, subject.checkpoint.digest)),
        "properties": [
            {"name": "provost:checkpoint", "value": subject.checkpoint.digest},
            {"name": "provost:record", "value": subject.record},
        ],
    }
    if ancestors:
        found["pedigree"] = {"ancestors": [*ancestors]}
    return found


def _descent(subject: Subject) -> Iterator[NewestOutput]:
    """Yield the checkpoints from which the model's weights descend, nearest first."""
    by_record = {item.record: item for item in subject.family}
    current = subject.made
    while True:
        starts = [i for i in current.derivation.inputs if i.role in {"start", "student"}]
        earlier = by_record.get(starts[0].record) if starts else None
        if earlier is None:
            return
        yield earlier
        current = earlier


def _model(item: NewestOutput) -> Part:
    digest = item.attestation.output
    found: Part = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{digest}",
        "name": f"{item.derivation.kind} {digest[7:19]}",
        "version": digest,
    }
    source = item.derivation.settings.get("source")
    if item.derivation.kind == "base" and isinstance(source, str):
        found["name"] = source
        found["purl"] = hub_uri(source, str(item.derivation.settings.get("revision") or ""))
    stated = str(item.attestation.notes.get("license") or "")
    return found | ({"licenses": _licenses([stated])} if stated else {})


def _data(item: NewestOutput) -> Part:
    digest = item.attestation.output
    domain = item.derivation.settings.get("domain")
    found: Part = {
        "type": "data",
        "bom-ref": f"data:{digest}",
        "name": f"{item.derivation.kind} of {domain}" if domain else item.derivation.kind,
        "version": digest,
        "hashes": [{"alg": "SHA-256", "content": hex_of(digest)}],
        "data": [{"type": "dataset", "name": item.derivation.kind}],
    }
    stated = _stated_licenses(item.attestation.notes)
    return found | ({"licenses": _licenses(stated)} if stated else {})


def _stated_licenses(notes: Mapping[str, JsonValue]) -> list[str]:
    """Return the licenses that a record notes of its data: one, or those of all documents."""
    several = notes.get("licenses")
    found = several if isinstance(several, list) else [notes.get("license")]
    return [str(each) for each in found if each]


def _teachers(subject: Subject) -> Iterator[Part]:
    if not isinstance(subject.manifest, Student):
        return
    known: dict[str, Named] = {named.digest: named for named in subject.releases}
    for share in subject.manifest.teachers:
        name, _, version = share.reference.partition("@")
        found: Part = {
            "type": "machine-learning-model",
            "bom-ref": f"release:{share.release}",
            "name": name,
            "version": version,
            "properties": [
                {"name": "provost:domain", "value": share.domain},
                {"name": "provost:share", "value": f"{share.weight:g}"},
                {"name": "provost:tokens", "value": str(share.tokens_routed)},
            ],
        }
        named = known.get(share.release)
        if named is not None:
            found["licenses"] = _licenses([named.release.license])
            found["supplier"] = {"name": named.release.owner}
        yield found


def _packages(subject: Subject) -> Iterator[Part]:
    """Yield the packages of the environments that made and graded the data."""
    made = (i for i in subject.family if i.attestation.output_kind == "environment")
    for wheel in sorted({w for i in made for w in wheels_of(subject.store, i.attestation.output)}):
        found: Part = {
            "type": "library",
            "bom-ref": f"wheel:{wheel.digest}",
            "name": wheel.name,
            "version": wheel.version,
            "purl": wheel.purl,
            "hashes": [{"alg": "SHA-256", "content": hex_of(wheel.digest)}],
            "properties": [{"name": "provost:used-by", "value": "the environment, not the model"}],
        }
        yield found | ({"licenses": _licenses([wheel.license])} if wheel.license else {})


def _files(store: Store, digest: str) -> Iterator[Part]:
    tree = files_of(store, digest)
    for file in tree.files if tree else ():
        yield {
            "type": "file",
            "bom-ref": f"file:{file.path}",
            "name": file.path,
            "hashes": [{"alg": "SHA-256", "content": hex_of(file.digest)}],
        }


def _licenses(stated: Sequence[str]) -> list[JsonValue]:
    """Return licenses by their SPDX identifier, or by name where they have none."""
    found: list[JsonValue] = []
    for text in stated:
        known = SPDX.get(text.strip().lower())
        found.append({"license": {"id": known} if known else {"name": text}})
    return found


def _card(subject: Subject, data: Sequence[str]) -> Part:
    parameters: Part = {
        "task": "text-generation",
        "inputs": [{"format": "text"}],
        "outputs": [{"format": "text"}],
    }
    approach = _APPROACH.get(subject.made.derivation.kind)
    if approach:
        parameters["approach"] = {"type": approach}
    if data:
        parameters["datasets"] = [{"ref": reference} for reference in data]
    parameters |= _architecture(subject)
    card: Part = {"modelParameters": parameters}
    metrics: list[JsonValue] = list(_metrics(subject))
    if metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    return card


def _architecture(subject: Subject) -> Part:
    config = subject.store.tree(subject.checkpoint.digest) / "config.json"
    try:
        said = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LineageError(
            f"cannot read config.json of {subject.title} ({error}): it is not a valid Hugging Face "
            "checkpoint; make it again"
        ) from error
    found: Part = {}
    if isinstance(said.get("model_type"), str):
        found["architectureFamily"] = said["model_type"]
    names = said.get("architectures")
    if isinstance(names, list) and names:
        found["modelArchitecture"] = str(names[0])
    return found


def _metrics(subject: Subject) -> Iterator[Part]:
    for domain, methods in domains_of(subject).items():
        own = methods.get(own_method(subject))
        if own is not None:
            yield {
                "type": "mean score",
                "slice": domain,
                "value": f"{own['mean']:.6g}",
                "confidenceInterval": {
                    "lowerBound": f"{own['low']:.6g}",
                    "upperBound": f"{own['high']:.6g}",
                },
            }
