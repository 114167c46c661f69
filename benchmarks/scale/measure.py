"""What people ask of a store every day, each question in seconds of the processor and the clock."""

import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from click.testing import CliRunner

from benchmarks.scale.organization import SEED, STUDENTS, Organization, team_name
from lineage.artifacts import Artifact, Release, parse_manifest
from lineage.digest import canonical_json
from lineage.graph.graph import Lineage
from lineage.mirror import mirror_record
from lineage.operations.gc import find_garbage
from lineage.operations.recall import recall
from lineage.registry.registry import Registry
from lineage.store.store import FolderStore, Store
from lineage.view.picture import page
from workflows.cli import main as provost

Answer = TypeVar("Answer")
Row = dict[str, float]

_QUESTIONS = 30
_ROOT = "fork-point@1"
_SETTLING_SECONDS = 3.0
"""A slot that was written just now is read again by the next list."""


class Times:
    """Seconds of each question."""

    def __init__(self) -> None:
        """Begin without any."""
        self.rows: dict[str, Row] = {}

    def of(self, name: str, ask: Callable[[], Answer]) -> Answer:
        """Return the answer to a question, and keep how long it took."""
        start, busy = time.perf_counter(), time.process_time()
        answer = ask()
        self.rows[name] = {
            "processor": round(time.process_time() - busy, 4),
            "clock": round(time.perf_counter() - start, 4),
        }
        return answer


def questions(made: Organization, home: Path) -> dict[str, object]:
    """Return the times of all questions, and what tells how much was asked for."""
    store = made.store
    times, index = Times(), home / "index.db"
    times.of("index built", lambda: Lineage(store, index))
    known = times.of("index opened again", lambda: Lineage(store, index))
    last = Registry(store).resolve(STUDENTS)
    sizes: dict[str, object] = {}
    _told("teacher", "list", "--help")  # loads what is loaded once
    time.sleep(_SETTLING_SECONDS)
    for kind in ("teacher", "student"):
        times.of(f"{kind} list, the first of a user", partial(_told, kind, "list", "--json"))
        told = times.of(f"{kind} list", partial(_told, kind, "list", "--json"))
        sizes[f"{kind}_list_characters"] = len(told)
    page_bytes = len(times.of("page", lambda: page(known.graph(last.record), STUDENTS)))
    facts: dict[str, object] = {
        "ancestors_of_the_last_student": len(known.ancestors(last.record)),
        "page_bytes": page_bytes,
        "milliseconds": _milliseconds(known, last.record),
        **sizes,
    }
    times.of("names", lambda: Registry(store).names())
    times.of("resolve", lambda: Registry(store).resolve(f"{team_name(0)}@released"))
    new = _next_release(store)
    times.of("register a version", lambda: _register(made, new))
    time.sleep(_SETTLING_SECONDS)
    times.of("teacher list, with a new version", partial(_told, "teacher", "list", "--json"))
    times.of("garbage", lambda: find_garbage(store))
    first = Registry(store).entry(team_name(0), 1)
    times.of("mirror a release and its climb", lambda: _shown(mirror_record(store, first.record)))
    times.of("mirror it again", lambda: _shown(mirror_record(store, first.record)))
    recalled = times.of("recall", lambda: recall(store, known, _ROOT, "ann", "a leaked test set"))
    facts["recalled"] = len(recalled.affected)
    return {**facts, "seconds": times.rows}


def _milliseconds(known: Lineage, last: str) -> dict[str, float]:
    """Return the processor's milliseconds of questions about the graph."""
    everything = known.index.of_kind("rl")
    asked = [last, *random.Random(SEED).sample(everything, _QUESTIONS)]

    def each(question: Callable[[str], object]) -> list[float]:
        took = []
        for record in asked:
            start = time.process_time()
            question(record)
            took.append(1000 * (time.process_time() - start))
        return took

    up, down = each(known.ancestors), each(known.descendants)
    found = {
        "ancestors_of_the_last_student": up[0],
        "ancestors_median": statistics.median(up),
        "ancestors_worst": max(up),
        "descendants_median": statistics.median(down),
        "descendants_worst": max(down),
    }
    return {name: round(value, 1) for name, value in found.items()}


def _told(*command: str) -> str:
    told = CliRunner().invoke(provost, command)
    assert told.exit_code == 0, told.output[-1000:]
    return told.output


def _next_release(store: Store) -> Artifact:
    """Put a release that differs from a registered one by its team's version alone."""
    release = parse_manifest(
        store.get_bytes(Registry(store).entry(team_name(0), 1).digest), Release
    )
    new = release.model_copy(update={"team_version": "next"})
    data = canonical_json(new.model_dump(mode="json"))
    return Artifact(kind="release", digest=store.put_bytes(data))


def _register(made: Organization, new: Artifact) -> None:
    """Register a new version of a name, as a team that releases does."""
    store = FolderStore(Path(made.store.uri), signing_key=made.keys["team-000"])
    Registry(store).register(team_name(0), new, owner="team-000")


def _shown(shown: object) -> None:
    assert shown, "MLflow does not show what it should"
