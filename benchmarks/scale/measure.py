"""What people ask of a store every day, each question in seconds of the processor and the clock."""

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from click.testing import CliRunner

from benchmarks.scale.organization import SEED, STUDENTS, Organization, team_name
from lineage.artifacts import Artifact
from lineage.graph.graph import Lineage
from lineage.mirror import mirror_record
from lineage.operations.gc import find_garbage
from lineage.operations.recall import recall
from lineage.registry.registry import Registry
from lineage.store.store import FolderStore
from lineage.view.picture import page
from workflows.cli import main as provost

Answer = TypeVar("Answer")
Row = dict[str, float]

_QUESTIONS = 30
_ROOT = "fork-point@1"


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
    page_bytes = len(times.of("page", lambda: page(known.graph(last.record), STUDENTS)))
    facts: dict[str, object] = {
        "ancestors_of_the_last_student": len(known.ancestors(last.record)),
        "page_bytes": page_bytes,
        "milliseconds": _milliseconds(known, last.record),
    }
    times.of("names", lambda: Registry(store).names())
    times.of("resolve", lambda: Registry(store).resolve(f"{team_name(0)}@released"))
    _told("teacher", "list", "--help")  # loads what is loaded once
    for listing in (("teacher", "list", "--json"), ("student", "list", "--json")):
        told = times.of(" ".join(listing[:2]), lambda asked=listing: _told(*asked))  # type: ignore[misc]
        facts[f"{listing[0]}_list_characters"] = len(told)
    times.of("register a version", lambda: _register(made))
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


def _register(made: Organization) -> None:
    """Register a new version of a name, as a team that releases does."""
    store = FolderStore(Path(made.store.uri), signing_key=made.keys["team-000"])
    new = Artifact(kind="release", digest=store.put_bytes(b"a new release"))
    Registry(store).register(team_name(0), new, owner="team-000")


def _shown(shown: object) -> None:
    assert shown, "MLflow does not show what it should"
