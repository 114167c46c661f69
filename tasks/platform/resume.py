"""Resumable state in the store: a killed run continues from its last state.

A state is a folder in the store and a slot under the derivation of the run. How often it is saved
does not affect the result, so it is not a setting: at most every two minutes, and saving takes at
most a twentieth of the run time. Garbage collection leaves replaced states for two hours, so those
of two hours take at most a quarter of the free disk.
"""

import json
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from pydantic import JsonValue

from lineage.artifacts import Digest
from lineage.operations.gc import LEAST_GRACE_SECONDS, STATES
from lineage.store.store import Store
from lineage.trust.journal import Journal, Slots
from lineage.trust.statement import Stated
from tasks.platform.attempt import NOTICE, InterruptedAttemptError
from tasks.platform.ranks import agreed, exchange_json, rank
from tasks.platform.resources import free_storage

_LEAST_SECONDS = 120.0
_LEAST_MULTIPLE = 20.0
"""Minimum interval, as a multiple of the last save's duration: saving costs at most 5 %."""
_SHARE_OF_ROOM = 0.25
"""Maximum share of the free disk that the states of one grace period of the collection take."""


class Part(Protocol):
    """Something that a run's next step depends on."""

    def save(self, folder: Path) -> None:
        """Write it into a folder of its own."""

    def load(self, folder: Path) -> None:
        """Go on from what ``save`` wrote."""


class JsonPart:
    """A part with a JSON value as its state."""

    def __init__(
        self, get: Callable[[], JsonValue], put: Callable[[Mapping[str, JsonValue]], None]
    ) -> None:
        """Read the state with ``get`` and set it with ``put``."""
        self._get, self._put = get, put

    def save(self, folder: Path) -> None:
        """Write ``state.json``."""
        (folder / "state.json").write_text(json.dumps(self._get()), "utf-8")

    def load(self, folder: Path) -> None:
        """Read ``state.json``."""
        self._put(json.loads((folder / "state.json").read_text("utf-8")))


class RandomNumbers:
    """Torch's and Python's global generators; dropout draws from the first."""

    def save(self, folder: Path) -> None:
        """Write the states of the generators."""
        states = {"cpu": torch.get_rng_state().tolist()}
        if torch.cuda.is_available():
            states["cuda"] = [state.tolist() for state in torch.cuda.get_rng_state_all()]
        (folder / "torch.json").write_text(json.dumps(states), "utf-8")
        (folder / "python.json").write_text(json.dumps(random.getstate()), "utf-8")

    def load(self, folder: Path) -> None:
        """Set the generators to where they stood."""
        states = json.loads((folder / "torch.json").read_text("utf-8"))
        torch.set_rng_state(torch.tensor(states["cpu"], dtype=torch.uint8))
        if "cuda" in states and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(
                [torch.tensor(state, dtype=torch.uint8) for state in states["cuda"]]
            )
        version, internal, gauss = json.loads((folder / "python.json").read_text("utf-8"))
        random.setstate((version, tuple(internal), gauss))


class State(Stated):
    """Where a run stood: a folder in the store, after a step."""

    predicate_type: ClassVar[str] = "urn:provost:state:1"

    step: int
    tree: Digest
    threads: int = 0
    """Number of threads of the run; it resumes with as many, to give the same bits."""


def room_for_states(store: Store) -> int | None:
    """Return the free bytes of a store's disk; None for a bucket, which has no known end."""
    return None if "://" in store.uri else free_storage(Path(store.uri))


class States:
    """The states of one derivation's run."""

    def __init__(
        self,
        store: Store,
        derivation: str,
        parts: Mapping[str, Part],
        clock: Callable[[], float] = time.monotonic,
        room: Callable[[Store], int | None] = room_for_states,
    ) -> None:
        """Keep these ``parts``, by name, of the run that makes ``derivation`` (a digest)."""
        self._store, self._parts, self._clock, self._room = store, dict(parts), clock, room
        self._path = f"{STATES}/{derivation.removeprefix('sha256:')}"
        self._due = clock() + _LEAST_SECONDS

    def restore(self) -> int:
        """Restore every part from the last state and return its step; 0 without a state.

        After this call an interrupted attempt ends at its next ``save_if_due``.
        """
        NOTICE.keep_states()
        # Of several ranks the first looks, and puts away, for all; their clocks differ.
        slots = self._slots()
        last = agreed(max(slots.numbers(), default=None))
        if last is None:
            return 0
        statement = slots.read(int(str(last)))
        if statement is None:
            raise RuntimeError(f"state {last} vanished while it was read; run again")
        slot = statement.body
        if slot.threads:
            torch.set_num_threads(slot.threads)
        folder = self._store.tree(slot.tree)
        for name, part in self._parts.items():
            part.load(folder / name)
        return slot.step

    def save_if_due(self, step: int) -> None:
        """Save a state if the last one is old enough, or if the attempt is interrupted.

        Raises:
            InterruptedAttemptError: a rank was interrupted; the state is saved first.
            TimeLimitError: the attempt's time is up; the state is saved first.
        """
        # One exchange a step: the first rank's clock counts, and a request to any of them.
        is_due = self._clock() >= self._due
        told = exchange_json("end" if NOTICE.is_given else "due" if is_due else "")
        if told[0] == "due" or "end" in told:
            self.save(step)
        if "end" in told:
            NOTICE.raise_given()
            raise InterruptedAttemptError(
                "another rank was interrupted, so this one stops too: see the other rank's error"
            )

    def save(self, step: int) -> None:
        """Put a state away: the run has done ``step``."""
        started, size = self._clock(), 0
        with tempfile.TemporaryDirectory(prefix="provost-state-") as folder:
            for name, part in self._parts.items():
                Path(folder, name).mkdir()
                part.save(Path(folder, name))
            if rank() == 0:
                files = (path for path in Path(folder).rglob("*") if path.is_file())
                size = sum(file.stat().st_size for file in files)
                tree = self._store.put_tree(Path(folder))
                state = State(step=step, tree=tree, threads=torch.get_num_threads())
                self._slots().append(lambda _, __: state)
        taken, room = self._clock() - started, self._room(self._store)
        by_room = LEAST_GRACE_SECONDS * size / max(1.0, _SHARE_OF_ROOM * room) if room else 0.0
        self._due = self._clock() + max(_LEAST_SECONDS, _LEAST_MULTIPLE * taken, by_room)

    def _slots(self) -> Slots[State]:
        """Return the states that the author's own project has put away."""
        journal = Journal(self._store)
        return journal.slots(journal.author.project, self._path, State)
