"""Is a checkpoint still what it was? Hash every blob, walk every record, check every signature.

It trusts nothing that was found before: no index, no cache, and no earlier hash unless it is given
the note of a verification (``unchanged``). Each problem names the file or record that is wrong; all
of them are found, not only the first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lineage.artifacts import Artifact, Release, Student, read_manifest
from lineage.errors import LineageError
from lineage.launches.waiver import read_waiver
from lineage.operations.unchanged import Identity, Unchanged
from lineage.records.record import Attestation, Derivation, Input, Records
from lineage.registry.names import Signature, signature_of
from lineage.registry.registry import Registry
from lineage.registry.valid_recalls import Used, recalls_of
from lineage.rules.evidence import Evidence
from lineage.rules.table import RULES, check
from lineage.store.store import Store, read_tree

_MAX_MANIFEST_BYTES = 64 << 20
"""No manifest is larger; a larger blob is not read into memory to see whether it is one."""


@dataclass(frozen=True)
class Problem:
    """One thing that differs from what its record says."""

    subject: str
    """The artifact, record or entry that is wrong, with its digest."""
    what: str


@dataclass
class Verification:
    """The result of a verification: what was checked, and the problems found."""

    subject: str
    records: int = 0
    blobs: int = 0
    size: int = 0
    """Bytes that were hashed."""
    unchanged: int = 0
    """Number of the blobs that were not hashed, because nothing has written to their files."""
    unchanged_size: int = 0
    """Bytes of these."""
    since: float | None = None
    """Time at which the first of these was hashed, in seconds since 1970."""
    signatures: list[Signature] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unknown: list[Problem] = field(default_factory=list)
    """Rules that an older version did not record the proof of: worth knowing, not wrong."""
    nondeterministic: list[str] = field(default_factory=list)
    """Records that gave different bytes at different times: worth knowing, not wrong."""

    @property
    def passed(self) -> bool:
        """Say whether nothing was wrong. Unsigned is not wrong; it is listed."""
        return not self.problems


class Verifier:
    """Verifies records and blobs of one store."""

    def __init__(
        self,
        store: Store,
        identity: Identity | None = None,
        *,
        require_signed: bool = False,
        unchanged: Unchanged | None = None,
    ) -> None:
        """Verify what is in ``store``.

        Args:
            store: Store to verify.
            identity: Reader of tokenizers, which this package cannot read.
            require_signed: Whether an unsigned statement counts as a fault.
            unchanged: Note of earlier verifications, which this one adds to; None hashes all.
        """
        self._store = store
        self._records = Records(store)
        self._registry = Registry(store)
        self._require_signed = require_signed
        self._taken: list[Input] = []
        self._identity = identity
        self._unchanged = unchanged
        self._evidence = Evidence(store, self._records)

    def verify(self, record: str, tell: Callable[[str], None] = lambda _: None) -> Verification:
        """Verify a record, all that it descends from, and the bytes of all of it.

        ``tell`` hears of each record as it comes, for a progress line.
        """
        found = Verification(record)
        hashed: set[str] = set()
        todo, seen = [record], {record}
        while todo:
            current = todo.pop()
            tell(current)
            parents = self._record(current, found, hashed)
            fresh = [parent for parent in parents if parent not in seen]
            seen.update(fresh)
            todo += fresh
        found.records = len(seen)
        self._entries(found, hashed)
        if self._unchanged is not None:
            self._unchanged.save()
        return found

    def _record(self, digest: str, found: Verification, hashed: set[str]) -> list[str]:
        """Check one record and the artifacts that it names; return the records of its inputs."""
        try:
            derivation = self._records.read(digest)
            attestations = self._records.attestations(digest)
        except LineageError as error:
            found.problems.append(Problem(f"record {digest}", str(error)))
            return []
        self._taken += derivation.inputs
        for item in derivation.inputs:
            label = f"{item.role} {item.name}".strip() + f" of record {digest}"
            self._artifact(item.artifact, label, found, hashed)
        for attestation in attestations:
            self._attestation(derivation, attestation, found, hashed)
        self._rules(derivation, attestations, found)
        if self._records.nondeterministic(digest):
            found.nondeterministic.append(digest)
        return self._parents(digest, derivation, found)

    def _rules(
        self, derivation: Derivation, attestations: Sequence[Attestation], found: Verification
    ) -> None:
        """Check the rules of a record's kind, for each thing that it gave."""
        if derivation.kind not in RULES:
            return
        for output, kind in {row.output: row.output_kind for row in attestations}.items():
            if not self._store.has(output):
                continue
            try:
                for breach in check(self._evidence, derivation, output):
                    to = found.unknown if breach.is_unknown else found.problems
                    to.append(Problem(f"{kind} {output}", f"[{breach.rule}] {breach.what}"))
            except LineageError:
                continue  # its own check reports an unreadable record
            if derivation.kind == "waiver":
                self._waiver(derivation, output, found)

    def _waiver(self, derivation: Derivation, digest: str, found: Verification) -> None:
        """Check a waiver's signature, its plan, and what it accepts."""
        try:
            [of] = [item for item in derivation.inputs if item.role == "plan"]
            plan = Artifact(kind="plan", digest=of.artifact, record=of.record)
            read_waiver(self._store, digest, plan)
        except (LineageError, ValueError) as error:
            found.problems.append(Problem(f"waiver {digest}", f"[signature] {error}"))

    def _parents(self, digest: str, derivation: Derivation, found: Verification) -> list[str]:
        """Return the records of the inputs, after checking that each one gave what was taken."""
        parents = []
        for item in derivation.inputs:
            if not item.record:
                continue
            parents.append(item.record)
            try:
                outputs = {row.output for row in self._records.attestations(item.record)}
            except LineageError:
                continue  # that record's own check reports it
            if item.artifact not in outputs:
                what = f"takes {item.artifact} from record {item.record}, which never gave it"
                found.problems.append(Problem(f"record {digest}", what))
        return parents

    def _attestation(
        self, derivation: Derivation, row: Attestation, found: Verification, hashed: set[str]
    ) -> None:
        label = f"output of record {row.derivation} ({derivation.kind})"
        if not self._store.has(row.output) and len(self._records.attestations(row.derivation)) > 1:
            return  # one of several outputs, collected since; those in use are checked as inputs
        self._artifact(row.output, label, found, hashed)
        if row.metrics:
            self._artifact(row.metrics, f"metrics of record {row.derivation}", found, hashed)
        if row.output_kind in {"release", "student"} and self._store.has(row.output):
            self._manifest(row, found, hashed)

    def _manifest(self, row: Attestation, found: Verification, hashed: set[str]) -> None:
        """Check a release or student: whole, its parts right, its tokenizer as it says."""
        subject = f"{row.output_kind} {row.output}"
        manifest: Release | Student
        try:
            if row.output_kind == "release":
                manifest = read_manifest(self._store, row.output, Release)
            else:
                manifest = read_manifest(self._store, row.output, Student)
        except LineageError as error:
            found.problems.append(Problem(subject, str(error)))
            return
        for part, artifact in manifest.artifacts().items():
            self._artifact(artifact.digest, f"{part} of {subject}", found, hashed)
        if isinstance(manifest, Release):
            if manifest.sft:
                self._artifact(manifest.sft.sketches, f"sketches of {subject}", found, hashed)
            self._tokenizer(manifest, subject, found)

    def _tokenizer(self, release: Release, subject: str, found: Verification) -> None:
        if self._identity is None:
            return
        checkpoint, read = release.checkpoint.digest, self._identity

        def digests() -> tuple[str, str]:
            return read(self._store.tree(checkpoint))

        try:
            known = self._unchanged
            tokenizer, template = known.identity(checkpoint, digests) if known else digests()
        except LineageError:
            return  # an unreadable checkpoint was reported already
        for what, said, is_now in (
            ("tokenizer", release.tokenizer, tokenizer),
            ("chat template", release.template, template),
        ):
            if said != is_now:
                text = f"says its {what} is {said}, its checkpoint holds {is_now}"
                found.problems.append(Problem(subject, text))

    def _artifact(self, digest: str, label: str, found: Verification, hashed: set[str]) -> None:
        """Hash a blob, or a tree's manifest and all its files, unless that was done just now."""
        if digest in hashed:
            return
        size = self._hash(digest, label, found, hashed)
        if size > _MAX_MANIFEST_BYTES:
            return
        try:
            files = read_tree(self._store, digest).files
        except LineageError:
            return  # a plain blob
        for file in files:
            if file.digest not in hashed:
                self._hash(file.digest, f"file {file.path} in {label}", found, hashed)

    def _hash(self, digest: str, label: str, found: Verification, hashed: set[str]) -> int:
        """Hash one blob and return its size in bytes, 0 for one that is not right."""
        hashed.add(digest)
        note = self._unchanged
        known = note.find(digest) if note else None
        if known is not None:
            found.blobs += 1
            found.unchanged += 1
            found.unchanged_size += known.size
            found.since = min(found.since or known.at, known.at)
            return known.size
        before = note.status(digest) if note else None
        try:
            size = self._store.check(digest)
        except LineageError as error:
            found.problems.append(Problem(f"{label} ({digest})", str(error)))
            if note is not None:
                note.drop(digest)
            return 0
        if note is not None:
            note.add(digest, before)
        found.size += size
        found.blobs += 1
        return size

    def _entries(self, found: Verification, artifacts: set[str]) -> None:
        """List who vouches for what was verified, and what of it was recalled.

        A slot that cannot be read under some name says nothing of what was verified.
        """
        used = {Used(item.artifact, item.record) for item in self._taken}
        for name in self._registry.names():
            for entry in self._registry.readable(name):
                if entry.digest not in artifacts:
                    continue
                signature = signature_of(self._registry, entry)
                found.signatures.append(signature)
                if self._require_signed and signature.state == "unsigned":
                    found.problems.append(Problem(signature.entry, signature.why))
                used.add(Used(entry.digest, entry.record))
        for recalled, event in {
            f"{entry.name}@{entry.version}": event
            for entry, event in recalls_of(self._registry, used).values()
        }.items():
            found.problems.append(Problem(recalled, f"was recalled: {event.reason}"))
