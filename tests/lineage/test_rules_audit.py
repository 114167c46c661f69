"""Retrains, replays and ledgers of another round are found, whoever launched the task."""

import pytest

from lineage.operations.verify import Verifier
from lineage.rules.audit import check_audit, check_ledger
from lineage.rules.evidence import Evidence
from tests.support.making import SOURCE, take, write_record

SETTINGS = {"distil": {"masked": [], "top_k": 4}, "ledger": {"displacements": True}, "steps": 120}


class Round:
    """A round with its ledger; rounds of one start and teacher differ in their settings."""

    def __init__(self, store, start, teacher, name, **settings):
        self.store, self.name = store, name
        self.inputs = [take("student", start), take("teacher", teacher, name="math")]
        self.settings = SETTINGS | settings
        self.student = self._made("mopd", name)
        self.ledger = self._made("ledger", f"ledger of {name}")

    def _made(self, kind, text, *more, **changed):
        return write_record(
            self.store,
            text.encode(),
            *self.inputs,
            *more,
            kind=kind,
            output_kind="ledger" if kind in {"ledger", "replay"} else "checkpoint",
            code=SOURCE,
            **self.settings | changed,
        )

    def retrain(self, **changed):
        distil = {**self.settings["distil"], "masked": ["math"]}
        text = f"retrain of {self.name} {changed}"
        told = {"distil": distil, "ledger": {"displacements": False}} | changed
        return self._made("mopd", text, **told)

    def replay(self, **changed):
        """Replay it; a later version knows one more setting."""
        more = [take("replayed", self.student), take("ledger", self.ledger)]
        return self._made("replay", f"replay of {self.name}", *more, **{"new": 1} | changed)

    def audit(self, kind="audit", ledger=None, retrains=()):
        inputs = [take("student", self.student), take("ledger", ledger or self.ledger)]
        inputs += [take("retrain", made, name=str(i)) for i, made in enumerate(retrains)]
        return write_record(self.store, b"page", *inputs, kind=kind, output_kind="audit")


@pytest.fixture
def rounds(store):
    start, teacher = write_record(store, b"start"), write_record(store, b"teacher")
    return (
        Round(store, start, teacher, "long"),
        Round(store, start, teacher, "short", steps=2),
    )


def broken(store, made):
    """Return the rules that are broken, as verify tells them too."""
    evidence = Evidence(store)
    derivation = evidence.made(made[0])
    rules = check_audit if derivation.kind == "audit" else check_ledger
    found = {breach.rule for breach in rules(evidence, derivation)}
    told = Verifier(store, None).verify(made[0]).problems
    assert {problem.what.partition("]")[0].removeprefix("[") for problem in told} == found
    return found


@pytest.mark.parametrize("kind", ["audit", "surgery"])
def test_the_ledger_is_the_students_own_or_a_replay_of_it(store, rounds, kind):
    long, short = rounds
    assert broken(store, long.audit(kind)) == set()
    assert broken(store, long.audit(kind, ledger=long.replay())) == set()
    assert broken(store, long.audit(kind, ledger=short.ledger)) == {"ledger"}
    assert broken(store, long.audit(kind, ledger=short.replay())) == {"ledger"}


def test_a_replay_that_mixed_the_ledger_of_one_round_with_another_round_is_found(store, rounds):
    long, short = rounds
    mixed = long.replay(steps=short.settings["steps"])
    assert broken(store, long.audit(ledger=mixed)) == {"ledger"}


def test_retrains_are_of_the_students_round_with_teachers_masked(store, rounds):
    long, short = rounds
    assert broken(store, long.audit(retrains=[long.retrain(), long.student])) == set()
    assert broken(store, long.audit(retrains=[long.retrain(), short.retrain()])) == {"retrains"}
    other = long.retrain(distil={"masked": ["math"], "top_k": 8})
    assert broken(store, long.audit(retrains=[other])) == {"retrains"}
    assert broken(store, long.audit(retrains=[long.ledger])) == {"retrains"}
