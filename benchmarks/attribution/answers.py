"""What the attribution benchmark found of one student, and the estimators that follow from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.attribution.estimators import REHEARSAL_AND_SLOPES, TRACIN
from benchmarks.attribution.rows import PARTS
from benchmarks.attribution.world import OFFICES, TEACHERS, masks
from benchmarks.common.results import Row
from tasks.attribution.estimators import FIRST_ORDER, LOG_RATIO

Table = dict[str, list[float]]


@dataclass(frozen=True)
class Answers:
    """What was found of one student."""

    number: int
    """Of its set."""
    asked: list[dict[str, str]]
    says: dict[str, list[float]]
    """By retrain; beside them ``full`` and ``fork``."""
    masks: dict[str, tuple[str, ...]]
    """By retrain, who was left out of it."""
    tables: dict[str, Table]
    """By estimator, the number of each teacher for each behavior."""
    told: dict[str, Table]
    """By estimator that does not just add teachers up, what it says of each retrain."""
    others: dict[str, dict[str, Any]]
    """Residuals, seconds and stand-ins, as they were written."""

    @property
    def change(self) -> list[float]:
        """What the round did to each behavior."""
        return [a - b for a, b in zip(self.says["full"], self.says["fork"], strict=True)]

    @property
    def truth(self) -> Table:
        """What each teacher's absence does."""
        return {teacher: self.effect(f"no-{teacher}") for teacher in TEACHERS}

    def effect(self, run: str) -> list[float]:
        """Return what a retrain says less of each behavior than the student."""
        return [a - b for a, b in zip(self.says["full"], self.says[run], strict=True)]

    def places(self, *tables: str) -> list[int]:
        """Return the behaviors of some tables."""
        return [place for place, item in enumerate(self.asked) if item["table"] in tables]


def read(rows: Row, number: int, seed: int) -> Answers | None:
    """Return what was found of a set's student, or None where not all was asked yet."""
    found = rows["sets"].get(str(number), {"seeds": {}})["seeds"].get(str(seed), {})
    if "truth" not in found:
        return None
    truth = found["truth"]
    others = {part: found.get(part, {}) for part in PARTS if part != "truth"}
    tables: dict[str, Table] = dict(others["estimates"].get("tables", {}))
    left_out = {run: masked for run, masked in masks(number) if masked}
    answers = Answers(number, truth["asked"], truth["says"], left_out, tables, {}, others)
    if tables:
        tables["taught and heard"] = _smaller(tables["path integral"], tables[LOG_RATIO])
        tables["owner, sized by the change"] = _sized_by_change(answers)
        answers.told[FIRST_ORDER] = _bounded(answers)
    if tables and others["rehearsals"]:
        answers.told["rehearsal"] = _rehearsed(answers)
        answers.told[REHEARSAL_AND_SLOPES] = {
            run: [a + b / 10 for a, b in zip(nats, answers.told[FIRST_ORDER][run], strict=True)]
            for run, nats in answers.told["rehearsal"].items()
        }
    for name, told in answers.told.items():
        tables[name] = {teacher: told[f"no-{teacher}"] for teacher in TEACHERS}
    for kind, says in others["shorts"].get("says", {}).items():
        tables[_SHORT[kind]] = _less(answers.says["full"], says)
    return answers


_SHORT = {"short": "retrain of a quarter", "repair": "surgery, then an eighth"}


def _smaller(one: Table, two: Table) -> Table:
    return {t: list(map(min, one[t], two[t])) for t in TEACHERS}


def _bounded(answers: Answers) -> Table:
    """Return by retrain what ``bounded_first_order`` says; effects of several are summed first."""
    slopes, ended = answers.tables[TRACIN], answers.says["full"]
    return {
        run: [
            max(sum(slopes[teacher][place] for teacher in masked), least)
            for place, least in enumerate(ended)
        ]
        for run, masked in answers.masks.items()
    }


def _rehearsed(answers: Answers) -> Table:
    """Return by retrain what ``rehearsed`` says; who is masked together is rehearsed so."""
    says = answers.others["rehearsals"]["says"]
    whole = [(a + b) / 2 for a, b in zip(answers.says["full"], says["full"], strict=True)]
    return {run: [a - b for a, b in zip(whole, says[run], strict=True)] for run in answers.masks}


def _less(student: Sequence[float], says: Mapping[str, Sequence[float]]) -> Table:
    """Return what the student says less what is said without each teacher."""
    without = {teacher: says[f"no-{teacher}"] for teacher in TEACHERS}
    return {t: [a - b for a, b in zip(student, without[t], strict=True)] for t in TEACHERS}


def _sized_by_change(answers: Answers) -> Table:
    owners = {office: own[0] for office, own in OFFICES.items() if len(own) == 1}
    return {
        teacher: [
            change if owners.get(item["domain"]) == teacher else 0.0
            for item, change in zip(answers.asked, answers.change, strict=True)
        ]
        for teacher in TEACHERS
    }
