"""The consolidation that a step belongs to, and the teachers that its plan names."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from pydantic import JsonValue, TypeAdapter, ValidationError

from lineage.errors import LineageError, MissingBlobError
from lineage.launches.launch import Lenient
from lineage.mirror.run_view import milliseconds, plan_of
from lineage.records.record import Attestation, Derivation, Records
from lineage.store.store import Store


class _Part(Lenient):
    digest: str


class _Teacher(Lenient):
    reference: str
    release: _Part
    checkpoint: _Part


class _PlannedTeachers(Lenient):
    teachers: tuple[_Teacher, ...]


_PLAN = TypeAdapter(_PlannedTeachers)


@dataclass(frozen=True, order=True)
class Ending:
    """How a step of a consolidation ended; the latest one is how the consolidation ended so far."""

    at_ms: int
    """Milliseconds since 1970."""
    failed: bool

    @property
    def status(self) -> str:
        """Its name in MLflow."""
        return "FAILED" if self.failed else "FINISHED"

    @classmethod
    def of(cls, derivation: Derivation, attestation: Attestation) -> "Ending":
        """Return the ending of a record."""
        return cls(milliseconds(attestation.finished), derivation.kind == "failure")


class PlanReader:
    """The plans of one store."""

    def __init__(self, store: Store, records: Records) -> None:
        """Read from ``store``."""
        self._store, self._records = store, records
        self._teachers: dict[str, dict[str, str]] = {}

    def consolidation_of(self, record: str) -> str:
        """Return the record of the first plan behind a step; the step is listed under its run.

        "" for what belongs to no consolidation, and for the plan itself.
        """
        attestations = self._records.attestations(record)
        return self.first(
            self._records.read(record), attestations[-1].notes if attestations else {}
        )

    def first(self, derivation: Derivation, notes: Mapping[str, JsonValue]) -> str:
        """Return the first of the plans behind a step, which notes ``notes``.

        What is noted may be anything, a circle too.
        """
        found, seen, plan = "", {derivation.digest()}, plan_of(derivation, notes)
        while plan and plan not in seen:
            try:
                attestations = self._records.attestations(plan)
            except MissingBlobError:
                break
            if not attestations:
                break
            found = plan
            seen.add(plan)
            plan = plan_of(self._records.read(plan), attestations[-1].notes)
        return found

    def teachers(self, derivation: Derivation, notes: Mapping[str, JsonValue]) -> dict[str, str]:
        """Return the teachers of a plan or of a step's plan, by digest of their release or weights.

        Each is a reference such as ``teacher.math@3``. Empty for a document other than a plan.
        """
        plan = derivation.digest() if derivation.kind == "plan" else plan_of(derivation, notes)
        if plan and plan not in self._teachers:
            self._teachers[plan] = {}
            with suppress(LineageError, ValidationError):
                self._teachers[plan] = self._read(plan)
        return self._teachers.get(plan, {})

    def _read(self, plan: str) -> dict[str, str]:
        attestations = self._records.attestations(plan)
        data = self._store.get_bytes(attestations[-1].output) if attestations else b"{}"
        return {
            part.digest: teacher.reference
            for teacher in _PLAN.validate_json(data).teachers
            for part in (teacher.release, teacher.checkpoint)
        }

    def endings(self) -> dict[str, Ending]:
        """Return how each consolidation ended so far, by the record of its first plan.

        A damaged record ends nothing here; the page of the record reports the damage.
        """
        found: dict[str, Ending] = {}
        for record in self._records.all():
            with suppress(LineageError):
                attestations = self._records.attestations(record)
                plan = self.consolidation_of(record)
                if plan and attestations:
                    ending = Ending.of(self._records.read(record), attestations[-1])
                    found[plan] = max(ending, found.get(plan, ending))
        return found
