"""What a record says: how something is made, and what happened when it ran.

A record's identity is the digest of its **derivation**: inputs, source, settings, seed, and the
project that makes it. What happened when it ran (output, host, times, metrics, the place in Flyte)
is an **attestation**, appended beside it and no part of the identity. So a rerun finds finished
work, several derivations may give one output, and only the project that a record names can say
what it gave.
"""

import json
import math
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import ClassVar, NamedTuple

from pydantic import Field, JsonValue, field_validator

from lineage.artifacts import Artifact, Digest
from lineage.digest import canonical_json, digest_bytes
from lineage.frozen import Frozen
from lineage.store.documents import to_json
from lineage.trust.statement import Stated


class FlyteRun(Frozen):
    """An execution of a workflow, as a task's pod sees it."""

    project: str
    domain: str
    execution: str
    """The execution's own name, such as f1a2b3c4d5e6f7; one in project and domain."""
    workflow: str = ""
    version: str = ""
    """Registered version of the task that ran."""
    url: str = ""
    """The step's page in Flyte's console; "" where Flyte does not know the console's address."""

    @property
    def name(self) -> str:
        """The execution's name in all of Flyte: project, domain and its own."""
        return f"{self.project}/{self.domain}/{self.execution}"


class Input(Frozen):
    """One input of a derivation: which artifact, made by which record, in which role."""

    role: str = Field(min_length=1)
    """student, teacher, fork_point, reward_model, data, prompts, environment ..."""
    artifact: Digest
    record: str = ""
    """Digest of the record that made it; "" for a raw input."""
    weight: float | None = None
    name: str = ""
    """What distinguishes inputs of one role: the domain of a teacher, the step of a rung."""

    @classmethod
    def of(cls, role: str, artifact: Artifact, name: str = "") -> "Input":
        """Return an artifact as an input, with the record that made it."""
        return cls(role=role, artifact=artifact.digest, record=artifact.record, name=name)


class Derivation(Frozen):
    """How something is made. Its digest is the record's identity."""

    kind: str = Field(min_length=1)
    """base, sft, rl, merge, mopd, evaluation, release ..."""
    inputs: tuple[Input, ...]
    source: str
    """Digest of the Python source that computes it."""
    settings: dict[str, JsonValue]
    seed: int
    project: str = ""
    """Project that owns the record; only it attests it. "" for a record older than projects."""

    def to_bytes(self) -> bytes:
        """Return the canonical JSON; its digest names the record."""
        body = self.model_dump(mode="json", exclude=set() if self.project else {"project"})
        return canonical_json(body)

    def digest(self) -> str:
        """Return the record's identity."""
        return digest_bytes(self.to_bytes())


class Attestation(Stated):
    """What one run of a derivation did: its output and its circumstances."""

    predicate_type: ClassVar[str] = "urn:provost:attestation:1"

    derivation: Digest
    output: Digest
    output_kind: str = Field(min_length=1)
    attempt: int = Field(default=0, ge=0)
    host: str = ""
    threads: int = Field(default=0, ge=0)
    """How many threads computed it; 0 where that is not known."""
    packages: dict[str, str] = Field(default_factory=dict)
    image: str = ""
    """Container image, as REPOSITORY@sha256:...; "" without a container."""
    execution: str = ""
    flyte: FlyteRun | None = None
    """The execution in Flyte, with its place; None on a person's machine."""
    task: str = ""
    owner: str = ""
    commit: str = ""
    dirty: str = ""
    """Digest of the difference to the commit; "" for a clean tree."""
    started: str = ""
    finished: str = ""
    """Both ISO 8601 with an offset, in UTC."""
    metrics: str = ""
    """Digest of a JSONL blob: lines of step, name, value, source."""
    notes: dict[str, JsonValue] = Field(default_factory=dict)
    replaces: tuple[Digest, ...] = ()
    """Outputs of the same derivation that count no longer: lost ones, or by a person's word."""

    @property
    def seconds(self) -> float:
        """Duration in seconds; 0 if unknown."""
        if not self.started or not self.finished:
            return 0.0
        begun, ended = map(datetime.fromisoformat, (self.started, self.finished))
        return max(0.0, (ended - begun).total_seconds())

    def to_bytes(self) -> bytes:
        """Return the canonical JSON."""
        return canonical_json(to_json(self))

    def digest(self) -> str:
        """Return the digest of its canonical JSON."""
        return digest_bytes(self.to_bytes())

    def subject(self) -> tuple[str, str]:
        """Return what the statement is about: the output."""
        return self.output_kind, self.output

    @field_validator("started", "finished")
    @classmethod
    def _utc(cls, value: str) -> str:
        """Refuse times that do not order: without an offset they mean another moment elsewhere."""
        if value and datetime.fromisoformat(value).utcoffset() is None:
            raise ValueError(f"time {value!r} has no offset; use datetime.now(UTC).isoformat()")
        return value


def not_replaced(attestations: list[Attestation]) -> list[Attestation]:
    """Return the attestations that no later one has replaced, in the same order."""
    replaced: set[str] = set()
    valid: list[Attestation] = []
    for attestation in reversed(attestations):
        if attestation.output not in replaced:
            valid.insert(0, attestation)
        replaced |= set(attestation.replaces)
    return valid


def flatten(value: JsonValue, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted key, text) of each leaf; a list is one leaf.

    A text is the same for settings in memory and for those of a record, in which keys are sorted.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flatten(item, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, str):
        yield prefix, value
    else:
        yield prefix, json.dumps(value, ensure_ascii=False, sort_keys=True)


class Sample(NamedTuple):
    """One measured value."""

    step: int
    name: str
    value: float
    source: str
    """Kind of the step that measured it; the prefix of the name."""
    at: int = 0
    """Time in milliseconds since 1970; 0 if it was not measured."""


def metrics_blob(samples: Iterable[Sample]) -> bytes:
    """Return the JSONL of an attestation's metrics.

    A value that is not finite is written as the string "nan", "inf" or "-inf": JSON has no other
    way to say so, and a loss that became NaN is worth seeing.
    """
    return b"".join(canonical_json(_line(sample)) + b"\n" for sample in samples)


def _line(sample: Sample) -> dict[str, JsonValue]:
    line: dict[str, JsonValue] = {
        "step": sample.step,
        "name": sample.name,
        "value": sample.value if math.isfinite(sample.value) else str(sample.value),
        "source": sample.source,
    }
    if sample.at:
        line["at"] = sample.at
    return line
