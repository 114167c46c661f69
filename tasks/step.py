"""Finds a step's finished work or makes it, and leaves the record behind.

Each task names what it is about to do as a ``Derivation`` (inputs by digest and role, the digest of
the code that computes, settings, seed). If the store already holds the output of that derivation,
that is the answer: a rerun after a crash, or of a finished demo, computes nothing twice. Otherwise
the work is done in a scratch folder, stored, and attested.
"""

import json
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from pydantic import JsonValue

from lineage.artifacts import Artifact, Student, read_manifest
from lineage.errors import LineageError
from lineage.flyte_run import FlyteRun
from lineage.metrics import Sample, metrics_blob
from lineage.mirror import live_run, mirror_record
from lineage.recalls import Used
from lineage.record import Attestation, Derivation, Records
from lineage.registry import Registry
from lineage.slots import Entry
from lineage.store import Store, open_store
from tasks import pod
from tasks.attempt import InterruptedAttemptError
from tasks.finding import refuse_to_make
from tasks.progress import report
from tasks.provenance import git_commit, git_difference, gpu_in_use, package_versions
from tasks.reused import Reused, note_reused
from tasks.threads import as_many_threads, threads_in_use

_WORTH_TELLING = 256 << 20
"""Bytes of a blob; smaller ones are through before anybody looks."""


def now() -> str:
    """Return the time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat()


def _tell(_blob: str, done: int, size: int) -> None:
    """Report how far a blob that takes a while has come."""
    if size >= _WORTH_TELLING:
        report("store", done >> 20, size >> 20, message="MiB")


@dataclass
class Measurements:
    """What a step measured along the way: step, name and value, for the record and MLflow."""

    source: str
    rows: list[Sample] = field(default_factory=list)
    notes: dict[str, JsonValue] = field(default_factory=dict)
    """Circumstances worth attesting, such as how environments were confined."""
    listeners: list[Callable[[Sequence[Sample]], None]] = field(default_factory=list)
    """Callbacks for each new value, and for the values that a state restores."""
    clock: Callable[[], float] = time.time

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep the metrics of one optimizer step."""
        at = round(self.clock() * 1000)
        new = [Sample(step, name, float(value), self.source, at) for name, value in metrics.items()]
        self.rows += new
        self._tell(new)

    def save(self, folder: Path) -> None:
        """Write the measurements so far, for a run that may be killed."""
        (folder / "rows.json").write_text(json.dumps(self.rows), "utf-8")

    def load(self, folder: Path) -> None:
        """Go on from what ``save`` wrote."""
        rows = json.loads((folder / "rows.json").read_text("utf-8"))
        self.rows = [Sample(*row) for row in rows]
        self._tell(self.rows)

    def _tell(self, samples: Sequence[Sample]) -> None:
        for listener in self.listeners:
            listener(samples)


Listener = Callable[[Sequence[Sample]], None]
_WATCHED: ContextVar[Callable[[Measurements], None] | None] = ContextVar("watched", default=None)


@contextmanager
def measured_here(listener: Listener | None = None) -> Iterator[list[Measurements]]:
    """Yield the measurements of what is made within, in a list that grows, also where it fails.

    ``listener`` receives each value as it is measured.
    """
    measurements: list[Measurements] = []

    def watch(made: Measurements) -> None:
        measurements.append(made)
        if listener is not None:
            made.listeners.append(listener)

    token = _WATCHED.set(watch)
    try:
        yield measurements
    finally:
        _WATCHED.reset(token)


class Mirror(Protocol):
    """Where a step shows what it measures and what it has made, beside the store."""

    def live(
        self, store: Store, derivation: Derivation, owner: str, measurements: Measurements
    ) -> AbstractContextManager[None]:
        """Show what is measured within."""

    def add(self, store: Store, record: str) -> None:
        """Show a finished record."""


class MlflowMirror:
    """MLflow: it costs the work nothing, and one that is down is left alone."""

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


class Bench:
    """Where steps do their work: the store, its records, and the making of new ones."""

    def __init__(
        self,
        store: Store | None = None,
        run: FlyteRun | None = None,
        mirror: Mirror | None = None,
    ) -> None:
        """Work on ``store``, or on the one that the environment names.

        ``run`` is the execution in Flyte; by default the one that this pod belongs to. ``mirror``
        is MLflow by default.
        """
        self.store = store or open_store(tell=_tell)
        self.mirror: Mirror = mirror or MlflowMirror()
        self.records = Records(self.store)
        self._run = run

    @property
    def run(self) -> FlyteRun | None:
        """The execution in Flyte that records name; None on a person's machine."""
        return self._run or pod.flyte_run()

    @property
    def project(self) -> str:
        """The project for which this process works: its records name it."""
        return self.records.journal.author.project

    def resolve(self, reference: str, kind: str) -> tuple[Entry, Artifact]:
        """Return what a registry reference stands for, which must be of ``kind``.

        Raises:
            LineageError: for a reference that nothing answers to, or that is of another kind.
        """
        entry = Registry(self.store).resolve(reference)
        if not entry.record or entry.kind != kind:
            found = f"a {entry.kind}" if entry.record else "without a record"
            raise LineageError(
                f"{reference!r} is {entry.name}@{entry.version}, which is {found}, but a {kind} is "
                "needed here: `provost teacher list` and `provost lineage show NAME` say what is "
                "registered"
            )
        return entry, self._artifact(kind, entry.digest, entry.record)

    def start(self, reference: str) -> Artifact:
        """Return the checkpoint to start from: registered, or a published student's.

        Raises:
            LineageError: for a reference that nothing answers to, or that is neither.
        """
        entry = Registry(self.store).resolve(reference)
        if entry.kind == "student":
            return read_manifest(self.store, entry.digest, Student).checkpoint
        return self.resolve(reference, "checkpoint")[1]

    def refuse_recalled(self, releases: Iterable[Artifact]) -> None:
        """Raise ``RecalledError`` where one was recalled by now: days may lie behind a plan."""
        used = [Used(release.digest, release.record) for release in releases]
        Registry(self.store).refuse_recalled(used)

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
    ) -> Artifact:
        """Return the output of a derivation; ``make`` fills a folder and says what in it to keep.

        ``make`` gets an empty folder and somewhere to put measurements, and returns the file or
        folder that is the output. Nothing of it is visible to others before it is complete.
        """
        found = self.find(derivation)
        if found is not None:
            attested = self.records.output(found.record)
            run = attested.flyte if attested else None
            note_reused(Reused(derivation.kind, found.record, run.name if run else ""))
            return found
        refuse_to_make(derivation)
        self.store.ensure_writable()
        started = now()
        measurements = Measurements(derivation.kind)
        if (watch := _WATCHED.get()) is not None:
            watch(measurements)
        with (
            as_many_threads(self.threads_before(derivation)),
            tempfile.TemporaryDirectory(prefix="provost-") as folder,
        ):
            with self.shown_live(derivation, measurements, owner):
                output = make(Path(folder), measurements)
            return self.commit(derivation, kind, output, started, measurements, owner)

    def threads_before(self, derivation: Derivation) -> int:
        """Return how many threads computed an output that was lost since; 0 without one."""
        before = self.records.history(derivation.digest())
        return before[-1].threads if before else 0

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
                attempt=pod.attempt(),
                host=socket.gethostname(),
                threads=threads_in_use(),
                packages=package_versions(),
                image=pod.image(),
                execution=self.run.execution if self.run else "",
                flyte=self.run,
                task=pod.task(),
                owner=owner,
                commit=git_commit(),
                dirty=git_difference(),
                started=started,
                finished=now(),
                metrics=metrics,
                notes={**measurements.notes, **({"gpu": gpu} if (gpu := gpu_in_use()) else {})},
            ),
        )
        self.mirror.add(self.store, record)
        return self._artifact(kind, digest, record)

    def _artifact(self, kind: str, digest: str, record: str) -> Artifact:
        return Artifact(kind=kind, digest=digest, record=record, uri=self.store.uri)
