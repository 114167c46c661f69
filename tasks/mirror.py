"""Where steps show their work beside the store: MLflow, or what a caller passes instead."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from lineage.mirror import live_run, mirror_entry, mirror_record
from lineage.record import Derivation
from lineage.store import Store
from tasks.attempt import InterruptedAttemptError
from tasks.measurements import Measurements


class Mirror(Protocol):
    """A second view of what the store holds and of what a step measures."""

    def live(
        self, store: Store, derivation: Derivation, owner: str, measurements: Measurements
    ) -> AbstractContextManager[None]:
        """Show what is measured within."""

    def add(self, store: Store, record: str) -> None:
        """Show a finished record."""

    def add_name(self, store: Store, name: str) -> None:
        """Show a registered name with its versions and aliases."""


class MlflowMirror:
    """The view in MLflow. The work goes on at the same pace where MLflow is down."""

    @contextmanager
    def live(
        self, store: Store, derivation: Derivation, owner: str, measurements: Measurements
    ) -> Iterator[None]:
        """Show what is measured within, at most half a minute late.

        What ends with an error is shown as failed, unless it ends in its first seconds.
        """
        stopped = InterruptedAttemptError
        run = live_run(store, derivation, owner, stopped, measurements.notes)
        measurements.listeners.append(run.add)
        with run:
            yield

    def add(self, store: Store, record: str) -> None:
        """Show a finished record."""
        mirror_record(store, record)

    def add_name(self, store: Store, name: str) -> None:
        """Show a registered name with its versions and aliases."""
        mirror_entry(store, name)
