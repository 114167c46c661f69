"""Two machines whose clocks are two days apart write into one store, and one collects garbage."""

import multiprocessing
import tempfile
import time
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Self

from lineage.artifacts import Artifact
from lineage.operations import gc
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.store.store import FolderStore
from lineage.trust import journal
from tests.support.making import checkpoint, write_record

DAYS = 2
_RELEASES = 6


def _shift(days: int) -> None:
    """Move this process's clocks."""
    true_time = time.time

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(true_time() + days * 86_400, tz)

    time.time = lambda: true_time() + days * 86_400
    vars(journal)["datetime"] = Shifted


def _machine(folder: str, scratch: str, days: int, number: int) -> None:
    _shift(days)
    store = FolderStore(Path(folder))
    for turn in range(_RELEASES):
        place = Path(scratch) / f"{number}-{turn}"
        tree = store.put_tree(checkpoint(place, f"{number} {turn}".encode()))
        record, _ = write_record(store, b"", output=tree, number=number, turn=turn)
        artifact = Artifact(kind="checkpoint", digest=tree, record=record)
        entry = Registry(store).register("teacher.math", artifact, owner=f"machine-{number}")
        Registry(store).point("teacher.math", "released", entry.version, by=f"machine-{number}")
        store.put_bytes(f"unrecorded yet {number} {turn}".encode())
        gc.collect(store)


def trial(_seed: int) -> dict[str, object]:
    """Let both machines release and collect at once; return what is lost or out of order."""
    context = multiprocessing.get_context("fork")
    violations = []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
        machines = [
            context.Process(target=_machine, args=(folder, scratch, days, number))
            for number, days in enumerate((0, DAYS))
        ]
        for machine in machines:
            machine.start()
        for machine in machines:
            machine.join()
        violations += [f"exit status {each.exitcode}" for each in machines if each.exitcode]
        store = FolderStore(Path(folder))
        versions = Registry(store).versions("teacher.math")
        if [entry.version for entry in versions] != list(range(1, 2 * _RELEASES + 1)):
            violations.append(f"versions {[entry.version for entry in versions]}")
        for entry in versions:
            found = Records(store).output(entry.record)
            if found is None or found.output != entry.digest:
                violations.append(f"lost {entry.record}")
        kept = sum(b"unrecorded yet" in store.get_bytes(d) for d in store.blobs.digests())
        if kept != 2 * _RELEASES:
            violations.append(f"{2 * _RELEASES - kept} young blobs were collected")
    return {"trials": 1, "violations": violations}
