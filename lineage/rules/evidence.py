"""The evidence that rules examine: derivations, their attestations, and stored documents."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from lineage.artifacts import Artifact
from lineage.errors import LineageError
from lineage.records.record import Attestation, Derivation, Input, Records
from lineage.store.store import Store


@dataclass(frozen=True)
class Breach:
    """One broken rule, or one that cannot be proven."""

    rule: str
    """Its code, such as ``scorecard``."""
    what: str
    is_unknown: bool = False
    """Nothing contradicts the rule, but an older version did not record what would prove it."""


class BrokenRuleError(LineageError):
    """A publication that its records contradict."""

    def __init__(self, what: str, breaches: list[Breach]) -> None:
        """Name the subject, and list the breaches."""
        self.breaches = tuple(breaches)
        lines = "\n".join(f"- [{each.rule}] {each.what}" for each in breaches)
        super().__init__(
            f"{what} is refused, because its records contradict it; nothing was written:\n"
            f"{lines}\nGive the outputs of one run, or launch the whole workflow: what is finished "
            "is found"
        )

    @property
    def rules(self) -> set[str]:
        """The codes of the rules that were broken."""
        return {each.rule for each in self.breaches}


def refuse_broken(what: str, breaches: list[Breach]) -> None:
    """Raise BrokenRuleError for breaches, except for rules that are only unproven."""
    broken = [each for each in breaches if not each.is_unknown]
    if broken:
        raise BrokenRuleError(what, broken)


class Evidence:
    """Reads records and documents of a store for the rules. What cannot be read raises."""

    def __init__(self, store: Store, records: Records | None = None) -> None:
        """Read from ``store``."""
        self._store = store
        self._records = records or Records(store)

    def made(self, record: str) -> Derivation:
        """Return how something was made.

        Raises:
            LineageError: where the store has no such record, or a damaged one.
        """
        return self._records.read(record)

    def attested(self, artifact: Artifact) -> list[Attestation]:
        """Return the attestations of an artifact's record that name it as output."""
        rows = self._records.attestations(artifact.record) if artifact.record else []
        return [row for row in rows if row.output == artifact.digest]

    def gave(self, artifact: Artifact) -> bool:
        """Return whether an attestation of an artifact's record names it as output."""
        return bool(self.attested(artifact))

    def owners(self, artifact: Artifact) -> set[str]:
        """Return the owners of the attestations that name the artifact as the record's output."""
        return {row.owner for row in self.attested(artifact)}

    def bytes(self, digest: str) -> bytes:
        """Return a stored blob, verified.

        Raises:
            LineageError: where it is not there, or damaged.
        """
        return self._store.get_bytes(digest)

    def document(self, digest: str) -> Mapping[str, JsonValue]:
        """Return a stored JSON object.

        Raises:
            LineageError: if the blob is not a JSON object.
        """
        try:
            document = json.loads(self.bytes(digest))
        except (ValueError, RecursionError) as error:
            raise LineageError(f"{digest} is not a valid JSON document: {error}") from error
        if not isinstance(document, dict):
            raise LineageError(f"{digest} is JSON, but not an object")
        return document


def taken(made: Derivation, role: str, name: str | None = None) -> list[Input]:
    """Return a derivation's inputs of a role, and of a name if one is given."""
    return [i for i in made.inputs if i.role == role and name in {None, i.name}]


def same(item: Input | Artifact, artifact: Artifact) -> bool:
    """Say whether an input or an artifact is this artifact, made by this record."""
    digest = item.artifact if isinstance(item, Input) else item.digest
    return (digest, item.record) == (artifact.digest, artifact.record)


def artifact_of(item: Input, kind: str = "checkpoint") -> Artifact:
    """Return an input as an artifact."""
    return Artifact(kind=kind, digest=item.artifact, record=item.record)
