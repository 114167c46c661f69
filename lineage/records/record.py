"""The records of a store: what was made from what, by which code, and what came out.

A derivation is a blob under its own digest. Its attestations are signed statements of the project
that it names: ``projects/<project>/attestations/<record>/``. Statements of other projects about a
record do not count. A derivation with two outputs is refused until one is kept.
"""

from lineage.digest import PREFIX, hex_of, is_digest
from lineage.errors import (
    ConflictingOutputsError,
    CorruptError,
    MissingBlobError,
    NoRecordError,
    NotEntitledError,
    RecordRefusedError,
)
from lineage.records.derivation import Attestation, Derivation, Input, not_replaced
from lineage.store.documents import parse_named
from lineage.store.store import Store
from lineage.trust.journal import Journal, Slots
from lineage.trust.older import Older
from lineage.trust.statement import prefix_of

__all__ = ["Attestation", "Derivation", "Input", "Records"]

ATTESTATIONS = "attestations"


class Records:
    """The append-only records of a store: the authority for what came from what."""

    def __init__(self, store: Store) -> None:
        """Read and write records in ``store``."""
        self._store = store
        self.journal = Journal(store)
        self._older = Older(self.journal)
        self._known: dict[str, Derivation] = {}

    def write(self, derivation: Derivation, attestation: Attestation) -> str:
        """Append a record of the author's project; return its digest. Repeating it changes nothing.

        Raises:
            RecordRefusedError: for an input or output that is not in the store, an input that its
                record did not make, an attestation of another derivation, and a cycle.
            NotEntitledError: for a derivation of another project.
            ConflictingOutputsError: if the derivation gave another output that is still valid.
                Nothing is attested in any of these cases.
        """
        self._check_attestation(derivation.digest(), attestation)
        project = self.journal.author.project
        if not derivation.project:
            derivation = derivation.model_copy(update={"project": project})
            attestation = attestation.model_copy(update={"derivation": derivation.digest()})
        if derivation.project != project:
            raise NotEntitledError(
                f"the record belongs to project {derivation.project!r}, but you write for "
                f"{project!r}: only {derivation.project!r} can attest its output"
            )
        digest = derivation.digest()
        for item in derivation.inputs:
            self._check_input(item)
        self._check_acyclic(derivation, digest, attestation.output)
        self._store.put_bytes(derivation.to_bytes())
        self._slots(derivation, digest).append(lambda _, known: self._following(attestation, known))
        return digest

    def _following(self, new: Attestation, known: list[Attestation]) -> Attestation | None:
        """Return the attestation with the lost outputs that it replaces; None where it is known."""
        if _bare(new) in {_bare(item) for item in known}:
            return None
        others = {item.output for item in not_replaced(known)} - {new.output, *new.replaces}
        if there := sorted(output for output in others if self._store.has(output)):
            raise ConflictingOutputsError(
                f"record {new.derivation} gave {there[0]} before and {new.output} now: the step "
                "is not deterministic, or one of them is wrong. `provost lineage diff` compares "
                f"the two runs; `provost lineage keep {new.derivation} OUTPUT` declares which one "
                "counts"
            )
        return new.model_copy(update={"replaces": (*new.replaces, *sorted(others))})

    def keep(self, digest: str, output: str, reason: str) -> None:
        """State that only this output of a record is valid.

        Raises:
            RecordRefusedError: for an output that the record never gave.
        """
        given = self.attestations(digest)
        meant = [item for item in given if item.output == output]
        if not meant:
            outputs = sorted({item.output for item in given})
            raise RecordRefusedError(
                f"record {digest} never gave {output}, it gave {outputs}", code="never-gave"
            )
        others = {item.output for item in given} - {output}
        notes = {**meant[-1].notes, "kept": reason}
        kept = meant[-1].model_copy(update={"replaces": tuple(sorted(others)), "notes": notes})
        self.write(self.read(digest), kept)

    def read(self, digest: str) -> Derivation:
        """Return a derivation, verified. Raises NoRecordError, MissingBlobError or CorruptError."""
        if not digest:
            raise NoRecordError
        if digest not in self._known:
            key = f"records/{hex_of(digest)}"
            if (data := self._older.read(key)) is None:
                data, key = self._blob(digest), digest
            self._known[digest] = parse_named(data, digest, key, Derivation)
        return self._known[digest]

    def _blob(self, digest: str) -> bytes:
        try:
            return self._store.get_bytes(digest)
        except MissingBlobError as error:
            raise MissingBlobError(
                f"the store has no record {digest}: it was made in another store, or never "
                "written; `provost lineage show` lists the records here",
                code="no-record",
            ) from error

    def attestations(self, digest: str) -> list[Attestation]:
        """Return what the record's project has attested of it, oldest first.

        Raises:
            CorruptError: for a slot that is damaged or gone.
            NotEntitledError: for a statement in the project's own place that does not count.
        """
        derivation = self.read(digest)
        if not derivation.project:
            return self._older_attestations(digest)
        found = [item.body for item in self._slots(derivation, digest).all()]
        for attestation in found:
            if attestation.derivation != digest:
                raise CorruptError(
                    f"an attestation in the slots of record {digest} belongs to record "
                    f"{attestation.derivation}: run `provost lineage verify`, and restore it from "
                    "a copy of the store"
                )
        return found

    def _older_attestations(self, digest: str) -> list[Attestation]:
        found = []
        for key in self._older.keys(f"{ATTESTATIONS}/{hex_of(digest)}"):
            said = self._older_attestation(digest, key)
            found.append((said.finished, said.attempt, key, said))
        return [row[-1] for row in sorted(found, key=lambda row: row[:3])]

    def _older_attestation(self, digest: str, key: str) -> Attestation:
        name = PREFIX + key.rpartition("/")[2]
        if not is_digest(name):
            raise CorruptError(f"the key {key!r} names no attestation")
        attestation = parse_named(self._older.read(key) or b"", name, key, Attestation)
        if attestation.derivation != digest:
            raise CorruptError(
                f"the attestation at {key!r} belongs to another record, {attestation.derivation}: "
                "restore it from a copy of the store"
            )
        return attestation

    def output(self, digest: str) -> Attestation | None:
        """Return the last attestation with an output that is still in the store, or None."""
        return next(reversed(self._there(digest)), None)

    def history(self, digest: str) -> list[Attestation]:
        """Return the attestations of a derivation, oldest first; empty if it never ran."""
        try:
            self.read(digest)
        except MissingBlobError:
            return []
        except CorruptError:
            mine = prefix_of(self.journal.author.project, ATTESTATIONS)
            if self._store.keys(f"{mine}/{hex_of(digest)}"):
                raise
            return []  # another team put wrong bytes there before it ever ran
        return self.attestations(digest)

    def _there(self, digest: str) -> list[Attestation]:
        """Return the valid attestations with their output in the store, oldest first."""
        standing = not_replaced(self.history(digest))
        return [attestation for attestation in standing if self._store.has(attestation.output)]

    def finished(self, digest: str) -> Attestation | None:
        """Return the attested output of a derivation, if the store holds it.

        Raises:
            ConflictingOutputsError: for two different ones of which neither replaces the other.
        """
        there = self._there(digest)
        outputs = sorted({item.output for item in there})
        if len(outputs) > 1:
            raise ConflictingOutputsError(
                f"record {digest} gave different outputs: {outputs}. Declare which one counts "
                f"with `provost lineage keep {digest} OUTPUT --reason '...'`"
            )
        return there[-1] if there else None

    def nondeterministic(self, digest: str) -> tuple[str, ...]:
        """Return the different outputs of one derivation, sorted; empty when they all agree."""
        outputs = {attestation.output for attestation in self.attestations(digest)}
        return tuple(sorted(outputs)) if len(outputs) > 1 else ()

    def all(self, listed: list[tuple[str, str]] | None = None) -> list[str]:
        """Return every attested record, sorted; ``listed`` are the ``statements`` if known."""
        old = [PREFIX + key.rpartition("/")[2] for key in self._older.keys("records")]
        return sorted({*old, *(r for r, _ in listed or self.statements() if is_digest(r))})

    def attestation_at(self, digest: str, key: str) -> Attestation:
        """Return one of the attestations that ``statements`` lists, checked by itself.

        Raises:
            LineageError: for a slot that is damaged, or a statement that does not count.
        """
        derivation = self.read(digest)
        if not derivation.project:
            return self._older_attestation(digest, key)
        slots = self._slots(derivation, digest)
        name = key.removeprefix(f"{slots.prefix}/")
        statement = slots.read(int(name)) if name.isdecimal() else None
        if statement is None or statement.body.derivation != digest:
            raise CorruptError(f"the key {key!r} is not that of an attestation of {digest}")
        return statement.body

    def statements(self) -> list[tuple[str, str]]:
        """Return (record, key) of every slot with an attestation, without reading it."""
        found: list[tuple[str, str]] = []
        for project in self.journal.projects:
            prefix = prefix_of(project, ATTESTATIONS)
            keys = self._store.keys(prefix)
            found += [(key.removeprefix(f"{prefix}/").split("/")[0], key) for key in keys]
        found += [(key.split("/")[1], key) for key in self._older.keys(ATTESTATIONS)]
        return [(PREFIX + record, key) for record, key in found]

    def parents(self, digest: str) -> list[str]:
        """Return the records that made a record's inputs, each once, in the order of the inputs."""
        inputs = self.read(digest).inputs
        return list(dict.fromkeys(item.record for item in inputs if item.record))

    def _slots(self, derivation: Derivation, digest: str) -> Slots[Attestation]:
        path = f"{ATTESTATIONS}/{hex_of(digest)}"
        return self.journal.slots(derivation.project, path, Attestation)

    def _check_attestation(self, digest: str, attestation: Attestation) -> None:
        if attestation.derivation != digest:
            raise RecordRefusedError(
                f"the attestation is of {attestation.derivation}, but the derivation is "
                f"{digest}: make it with derivation=derivation.digest()",
                code="other-derivation",
            )
        for name, value in (("output", attestation.output), ("metrics", attestation.metrics)):
            if value and not self._store.has(value):
                missing = f"the {name} {value} is not in the store: put it there first"
                raise RecordRefusedError(missing, code="missing-document")

    def _check_input(self, item: Input) -> None:
        label = f"input {item.role!r}{' ' + repr(item.name) if item.name else ''}"
        if not self._store.has(item.artifact):
            missing = f"{label} is {item.artifact}, which is not in the store: put it there first"
            raise RecordRefusedError(missing, code="missing-input")
        if not item.record:
            return
        try:
            outputs = {attestation.output for attestation in self.attestations(item.record)}
        except MissingBlobError as error:
            raise RecordRefusedError(
                f"{label} names record {item.record}, which is not in the store: write the "
                "producing record first, or leave it out for a raw input",
                code="missing-input-record",
            ) from error
        if item.artifact not in outputs:
            raise RecordRefusedError(
                f"{label}: record {item.record} never gave {item.artifact}, it gave "
                f"{sorted(outputs)}; name the record that made this artifact",
                code="never-gave",
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
                        "'base' for the raw artifact and name it in the ancestor",
                        code="cycle",
                    )


def _bare(attestation: Attestation) -> str:
    """Return the digest of what a run said by itself, before it was known what it replaces."""
    return attestation.model_copy(update={"replaces": ()}).digest()
