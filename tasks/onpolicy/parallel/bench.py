"""A bench at which all ranks of a run stand: the first one looks and stores, and all hear of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.record import Derivation
from tasks.ranks import agreed, rank
from tasks.step import Bench, Measurements


class SharedBench(Bench):
    """Finds and makes as a bench does. In a process of its own it is one; else it is collective."""

    def find(self, derivation: Derivation) -> Artifact | None:
        """Return what the first rank finds: a store that changes meanwhile parts no ranks."""
        return _agreed(super().find(derivation) if rank() == 0 else None)

    @contextmanager
    def shown_live(
        self, derivation: Derivation, measurements: Measurements, owner: str
    ) -> Iterator[None]:
        """Show what the first rank measures; it is the same on all."""
        if rank() != 0:
            yield
            return
        with super().shown_live(derivation, measurements, owner):
            yield

    def commit(
        self,
        derivation: Derivation,
        kind: str,
        output: Path,
        started: str,
        measurements: Measurements,
        owner: str = "",
    ) -> Artifact:
        """Store the first rank's output and write its record."""
        made = None
        if rank() == 0:
            made = super().commit(derivation, kind, output, started, measurements, owner)
        stored = _agreed(made)
        assert stored is not None
        return stored


def _agreed(artifact: Artifact | None) -> Artifact | None:
    told = agreed(artifact.model_dump(mode="json") if artifact is not None else None)
    return Artifact.model_validate(told) if told is not None else None
