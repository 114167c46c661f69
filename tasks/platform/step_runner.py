"""Finds a step's finished work or makes it, and leaves the record behind.

Each task names what it is about to do as a ``Derivation`` (inputs by digest and role, the digest of
the code that computes, settings, seed). If the store already holds the output of that derivation,
that is the answer: a rerun after a crash, or of a finished demo, computes nothing twice. Otherwise
the work is done in a scratch folder, stored, and attested.
"""

import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import JsonValue

from lineage.artifacts import Artifact
from lineage.records.derivation import FlyteRun, metrics_blob
from lineage.records.record import Attestation, Derivation, Records
from lineage.store.store import Store, open_store
from tasks.platform.garbage import as_always
from tasks.platform.measurements import Measurements, new_measurements
from tasks.platform.progress import report, without_reports
from tasks.platform.provenance import (
    attempt_number,
    flyte_run,
    git_commit,
    git_difference,
    gpu_in_use,
    package_versions,
    running_image,
    task_name,
)
from tasks.platform.resources import as_many_threads, threads_in_use
from tasks.platform.views import Mirror, MlflowMirror, Reused, note_reused

Result = TypeVar("Result")
_REPORTED_BYTES = 256 << 20
"""Minimum size of a blob that reports progress; smaller ones are stored in no time."""
_FIND_ONLY: ContextVar[bool] = ContextVar("find_only", default=False)


def now() -> str:
    """Return the time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat()


def _report_blob(_blob: str, done: int, size: int) -> None:
    """Report how much of a large blob is stored."""
    if size >= _REPORTED_BYTES:
        report("store", done >> 20, size >> 20, message="MiB")


@dataclass(frozen=True)
class Missing:
    """The first output that a run would have to make."""

    derivation: Derivation


class _MissingSignal(BaseException):
    """Ends a run that may only find. No failure: handlers of errors and Flyte do not catch it."""

    def __init__(self, missing: Missing) -> None:
        super().__init__(missing)
        self.missing = missing


def find_finished(run: Callable[[], Result]) -> Result | Missing:
    """Return the result of ``run`` if every step of it is finished, else the first missing one.

    Steps within return finished work and make nothing.
    """
    token = _FIND_ONLY.set(True)
    try:
        with without_reports():
            return run()
    except _MissingSignal as signal:
        return signal.missing
    finally:
        _FIND_ONLY.reset(token)


class StepRunner:
    """Runs steps with its collaborators: a store, a mirror, and whether it may only find."""

    def __init__(
        self,
        store: Store | None = None,
        *,
        run: FlyteRun | None = None,
        mirror: Mirror | None = None,
    ) -> None:
        """Work on ``store``, or on the one that the environment names.

        ``run`` is the execution in Flyte; by default the one that this pod belongs to. ``mirror``
        is MLflow by default. Within ``find_finished`` it makes nothing.
        """
        self.store = store or open_store(progress=_report_blob)
        self.mirror: Mirror = mirror or MlflowMirror()
        self.records = Records(self.store)
        self._find_only = _FIND_ONLY.get()
        self._run = run

    @property
    def only_finds(self) -> bool:
        """Whether it makes nothing: the first output that is missing ends the run."""
        return self._find_only

    @property
    def run(self) -> FlyteRun | None:
        """The execution in Flyte that records name; None on a person's machine."""
        return self._run or flyte_run()

    @property
    def project(self) -> str:
        """The project for which this process works: its records name it."""
        return self.records.journal.author.project

    def find(self, derivation: Derivation) -> Artifact | None:
        """Return the finished output of a derivation, if the store holds it."""
        done = self.records.finished(derivation.digest())
        if done is None:
            return None
        return self._artifact(done.output_kind, done.output, derivation.digest())

    def find_or_make(
        self,
        derivation: Derivation,
        kind: str,
        make: Callable[[Path, Measurements], Path],
        owner: str = "",
        notes: Mapping[str, JsonValue] | None = None,
    ) -> Artifact:
        """Return the output of a derivation; ``make`` fills a folder and says what in it to keep.

        ``make`` gets an empty folder and somewhere to put measurements, and returns the file or
        folder that is the output. Nothing of it is visible to others before it is complete.
        ``notes`` are known before the work begins, such as the plan that it is for. The mirror
        shows them from the start.
        """
        found = self.find(derivation)
        if found is not None:
            attested = self.records.output(found.record)
            run = attested.flyte if attested else None
            note_reused(Reused(derivation.kind, found.record, run.name if run else ""))
            return found
        with self.making(derivation), tempfile.TemporaryDirectory(prefix="provost-") as folder:
            started, measurements = now(), new_measurements(derivation.kind)
            measurements.notes |= notes or {}
            with self.shown_live(derivation, measurements, owner), as_always():
                output = make(Path(folder), measurements)
            return self.commit(derivation, kind, output, started, measurements, owner)

    @contextmanager
    def making(self, derivation: Derivation) -> Iterator[None]:
        """Prepare to make an output: it may be made, and gets the threads it had before.

        Raises:
            LineageError: The store cannot be written.
        """
        if self._find_only:
            raise _MissingSignal(Missing(derivation))
        self.store.ensure_writable()
        before = self.records.history(derivation.digest())
        # An output that was lost is computed with as many threads again, to the same bits.
        with as_many_threads(before[-1].threads if before else 0):
            yield

    @contextmanager
    def shown_live(
        self, derivation: Derivation, measurements: Measurements, owner: str
    ) -> Iterator[None]:
        """Show in the mirror what is measured within."""
        with self.mirror.live(self.store, derivation, owner, measurements):
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
        """Store an output, attest that the derivation made it, and mirror the record."""
        digest = self.store.put_tree(output) if output.is_dir() else self.store.put_file(output)
        metrics = self.store.put_bytes(metrics_blob(measurements.rows)) if measurements.rows else ""
        record = self.records.write(
            derivation,
            Attestation(
                derivation=derivation.digest(),
                output=digest,
                output_kind=kind,
                attempt=attempt_number(),
                host=socket.gethostname(),
                threads=threads_in_use(),
                packages=package_versions(),
                image=running_image(),
                execution=self.run.execution if self.run else "",
                flyte=self.run,
                task=task_name(),
                owner=owner,
                commit=git_commit(),
                dirty=git_difference(),
                started=started,
                finished=now(),
                metrics=metrics,
                notes={
                    "processor_seconds": round(measurements.processor_seconds, 2),
                    **measurements.notes,
                    **({"gpu": gpu} if (gpu := gpu_in_use()) else {}),
                },
            ),
        )
        self.mirror.add(self.store, record)
        return self._artifact(kind, digest, record)

    def _artifact(self, kind: str, digest: str, record: str) -> Artifact:
        return Artifact(kind=kind, digest=digest, record=record, uri=self.store.uri)
