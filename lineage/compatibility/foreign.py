"""Answers of closed models among what a teacher or the student descends from.

Their license is what somebody declared, and what the models descend from is unknown. A plan says
so, because what is made of it inherits both.
"""

from collections.abc import Iterable, Iterator, Mapping

from pydantic import ValidationError

from lineage.compatibility.checks import Finding
from lineage.declared import FOREIGN_TRACES, DeclaredTraces
from lineage.graph.graph import Lineage
from lineage.records.record import Derivation, Records
from lineage.store.store import Store

STUDENT = "student"
"""Subject of a finding about what the student starts from."""


def foreign_findings(store: Store, start: str, teachers: Mapping[str, str]) -> Iterator[Finding]:
    """Yield a finding for each closed model that the start or a teacher descends from.

    What the start descends from is not said again of teachers.

    Args:
        store: The store with the records.
        start: Record of the student's start; "" without one.
        teachers: Record of the checkpoint by the teacher's reference.
    """
    records, lineage = Records(store), Lineage(store)

    def declared(record: str) -> list[str]:
        return declared_traces(records, [record, *lineage.ancestors(record)] if record else [])

    own = declared(start)
    yield from (_finding(STUDENT, words) for words in own)
    for reference, record in teachers.items():
        yield from (_finding(reference, words) for words in declared(record) if words not in own)


def declared_traces(records: Records, family: Iterable[str]) -> list[str]:
    """Return what is declared of the closed models' answers among these records, in words."""
    made = map(records.read, family)
    return sorted({_declaration(each) for each in made if each.kind == FOREIGN_TRACES})


def _declaration(made: Derivation) -> str:
    try:
        return DeclaredTraces.model_validate(made.settings.get("declared")).words
    except ValidationError:  # any project may write such a record
        return "answers of a closed model with an unreadable declaration"


def _finding(subject: str, words: str) -> Finding:
    return Finding(
        "foreign-traces",
        "warning",
        subject,
        f"{subject} descends from {words}. What that model was trained on, and what it descends "
        "from, cannot be checked",
        "check that the license allows to train and to publish what is made from them, or train "
        "again without them",
    )
