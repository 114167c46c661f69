"""Records: what was made from what, by which code, and what came out.

A record's identity is the digest of its **derivation**: inputs, source, settings, seed. What
happened when it ran (output, host, times) is an **attestation**, appended beside it and no part of
the identity. So a rerun finds finished work, several derivations may give one output, and one
derivation that gives other bytes is seen as nondeterminism.
"""

import math
from datetime import datetime

from pydantic import Field, JsonValue, field_validator

from lineage.artifacts import Digest, Frozen
from lineage.digest import PREFIX, canonical_json, digest_bytes, hex_of
from lineage.documents import parse_named, to_json
from lineage.errors import CorruptError, MissingBlobError, RecordRefusedError
from lineage.flyte_run import FlyteRun
from lineage.store import Store


class Input(Frozen):
    """One input of a derivation: which artifact, made by which record, in which role."""

    role: str = Field(min_length=1)
    """student, teacher, fork_point, reward_model, data, prompts, environment ..."""
    artifact: Digest
    record: str = ""
    """Digest of the record that made it; "" for a raw input."""
    weight: float | None = None
    name: str = ""
    """Tells inputs of one role apart: the domain of a teacher, the step of a rung."""


class Derivation(Frozen):
    """How something is made. Its digest is the record's identity."""

    kind: str = Field(min_length=1)
    """base, sft, rl, merge, mopd, evaluation, release ..."""
    inputs: tuple[Input, ...]
    source: str
    """Digest of the Python source that computes it."""
    settings: dict[str, JsonValue]
    seed: int

    def to_bytes(self) -> bytes:
        """Return the canonical JSON whose digest names the record."""
        return canonical_json(to_json(self))

    def digest(self) -> str:
        """Return the record's identity."""
        return digest_bytes(self.to_bytes())


class Attestation(Frozen):
    """What one run of a derivation did: its output and its circumstances."""

    derivation: Digest
    output: Digest
    output_kind: str = Field(min_length=1)
    attempt: int = Field(default=0, ge=0)
    host: str = ""
    packages: dict[str, str] = Field(default_factory=dict)
    image: str = ""
    """The container image, as REPOSITORY@sha256:...; "" where there is none."""
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

    @property
    def seconds(self) -> float:
        """How long it took; 0 where that is not known."""
        if not self.started or not self.finished:
            return 0.0
        begun, ended = map(datetime.fromisoformat, (self.started, self.finished))
        return max(0.0, (ended - begun).total_seconds())

    def to_bytes(self) -> bytes:
        """Return the canonical JSON as it stands in the store."""
        return canonical_json(to_json(self))

    def digest(self) -> str:
        """Return the digest under which the attestation stands in the store."""
        return digest_bytes(self.to_bytes())

    @field_validator("started", "finished")
    @classmethod
    def _utc(cls, value: str) -> str:
        """Refuse times that do not order: without an offset they mean another moment elsewhere."""
        if value and datetime.fromisoformat(value).utcoffset() is None:
            raise ValueError(f"time {value!r} has no offset; use datetime.now(UTC).isoformat()")
        return value


class Records:
    """The append-only records of a store: the authority for what came from what."""

    def __init__(self, store: Store) -> None:
        """Read and write records in ``store``."""
        self._store = store
        self._known: dict[str, Derivation] = {}
        self._attested: dict[str, Attestation] = {}

    def write(self, derivation: Derivation, attestation: Attestation) -> str:
        """Append a record; return its digest. Writing the same again changes nothing.

        Raises RecordRefusedError for an input that is not in the store, an input that its record
        did not make, an output that is not in the store, an attestation of another derivation, and
        a cycle; nothing is written then.
        """
        digest = derivation.digest()
        self._check_attestation(digest, attestation)
        for item in derivation.inputs:
            self._check_input(item)
        self._check_acyclic(derivation, digest, attestation.output)
        body = derivation.to_bytes()
        if not self._store.claim(_record_key(digest), body):
            self.read(digest)  # raises where the slot holds other bytes
        key = f"{_attestations_key(digest)}/{hex_of(attestation.digest())}"
        self._store.claim(key, attestation.to_bytes())
        return digest

    def read(self, digest: str) -> Derivation:
        """Return a derivation, verified. Raises MissingBlobError or CorruptError."""
        if digest not in self._known:
            key = _record_key(digest)
            data = self._store.read_key(key)
            if data is None:
                raise MissingBlobError(
                    f"the store has no record {digest}: it was made in another store, or never "
                    "written; `provost lineage show` lists what is here"
                )
            self._known[digest] = parse_named(data, digest, key, Derivation)
        return self._known[digest]

    def attestations(self, digest: str) -> list[Attestation]:
        """Return what runs of a derivation attested, oldest first."""
        found = []
        for key in self._store.keys(_attestations_key(digest)):
            name = PREFIX + key.rpartition("/")[2]
            attestation = self._attestation(key, name)
            if attestation.derivation != digest:
                raise CorruptError(f"the attestation at {key!r} is of {attestation.derivation}")
            found.append((attestation.finished, attestation.attempt, name, attestation))
        return [row[-1] for row in sorted(found, key=lambda row: row[:3])]

    def _attestation(self, key: str, name: str) -> Attestation:
        """Return one attestation, read and verified once: its name is the digest of its bytes."""
        if name not in self._attested:
            data = self._store.read_key(key) or b""
            self._attested[name] = parse_named(data, name, key, Attestation)
        return self._attested[name]

    def output(self, derivation_digest: str) -> Attestation | None:
        """Return the newest attestation whose output is still in the store, or None.

        Newest by its finishing time, then attempt, then digest: the same store gives the same
        answer to everyone, also when a clock went back.
        """
        for attestation in reversed(self.attestations(derivation_digest)):
            if self._store.has(attestation.output):
                return attestation
        return None

    def nondeterministic(self, digest: str) -> tuple[str, ...]:
        """Return the different outputs of one derivation, sorted; empty when they all agree."""
        outputs = {attestation.output for attestation in self.attestations(digest)}
        return tuple(sorted(outputs)) if len(outputs) > 1 else ()

    def all(self) -> list[str]:
        """Return the digest of every record, sorted."""
        return [PREFIX + key.rpartition("/")[2] for key in self._store.keys("records")]

    def parents(self, digest: str) -> list[str]:
        """Return the records that made a record's inputs, each once, in the order of the inputs."""
        inputs = self.read(digest).inputs
        return list(dict.fromkeys(item.record for item in inputs if item.record))

    def _check_attestation(self, digest: str, attestation: Attestation) -> None:
        if attestation.derivation != digest:
            raise RecordRefusedError(
                f"the attestation is of {attestation.derivation}, the derivation is {digest}: "
                "make it with derivation=derivation.digest()"
            )
        for name, value in (("output", attestation.output), ("metrics", attestation.metrics)):
            if value and not self._store.has(value):
                raise RecordRefusedError(
                    f"the {name} {value} is not in the store: put it before the record is written"
                )

    def _check_input(self, item: Input) -> None:
        label = f"input {item.role!r}{' ' + repr(item.name) if item.name else ''}"
        if not self._store.has(item.artifact):
            raise RecordRefusedError(
                f"{label} names {item.artifact}, which is not in the store: a record with a "
                "dangling input could never be checked; put the input first"
            )
        if not item.record:
            return
        if self._store.read_key(_record_key(item.record)) is None:
            raise RecordRefusedError(
                f"{label} names record {item.record}, which is not in the store: write the "
                "producing record first, or leave it out for a raw input"
            )
        outputs = {attestation.output for attestation in self.attestations(item.record)}
        if item.artifact not in outputs:
            raise RecordRefusedError(
                f"{label}: record {item.record} never gave {item.artifact}, it gave "
                f"{sorted(outputs)}; name the record that made this artifact"
            )

    def _check_acyclic(self, derivation: Derivation, digest: str, output: str) -> None:
        """Refuse a record among its own ancestors, and an output that they took as raw input."""
        todo = [item.record for item in derivation.inputs if item.record]
        seen: set[str] = set()
        while todo:
            ancestor = todo.pop()
            if ancestor == digest:
                raise RecordRefusedError(f"record {digest} would be its own ancestor: a cycle")
            if ancestor in seen:
                continue
            seen.add(ancestor)
            for item in self.read(ancestor).inputs:
                if item.record:
                    todo.append(item.record)
                elif item.artifact == output:
                    raise RecordRefusedError(
                        f"the output {output} is a raw input of the ancestor record {ancestor}: "
                        "it would descend from itself. If both are true, write a record of kind "
                        "'base' for the raw artifact and name it in the ancestor"
                    )


def metrics_blob(rows: list[tuple[int, str, float, str]]) -> bytes:
    """Return the JSONL of an attestation's metrics from rows of (step, name, value, source).

    A value that is not finite is written as the string "nan", "inf" or "-inf": JSON has no other
    way to say so, and a loss that became NaN is worth seeing.
    """
    lines = []
    for step, name, value, source in rows:
        number: float | str = value if math.isfinite(value) else str(value)
        lines.append(
            canonical_json({"step": step, "name": name, "value": number, "source": source})
        )
    return b"".join(line + b"\n" for line in lines)


def _record_key(digest: str) -> str:
    return f"records/{hex_of(digest)}"


def _attestations_key(digest: str) -> str:
    return f"attestations/{hex_of(digest)}"
