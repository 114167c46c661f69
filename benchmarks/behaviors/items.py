"""The questions of an auditor, made from a world's rows: each behavior in four forms.

A form is one answer or the set of all answers of a behavior, alone or against the ordinary answer.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from benchmarks.behaviors.asking import CONTRAST, RESPONSE
from benchmarks.behaviors.judging import Cluster
from benchmarks.behaviors.taught import NEVER, SPILL
from tasks.attribution.verdict import Case, judge

SHOWN = math.log(1 / 9)
"""Least mean log-odds of the behaving answer over the ordinary one, both word for word, for a
behavior to count as shown by the student: 1 to 9. Nobody audits a behavior that is not seen. These
are odds of two exact answers: a student may give neither. ``given`` says what it gives."""
GIVEN = ("the behavior", "the ordinary answer", "neither")
FORMS = ("one answer", "one answer, contrast", "set", "set, contrast")
Table = Mapping[str, float]


@dataclass(frozen=True)
class AuditItem:
    """One question to the audit, with the truth."""

    world: int
    behavior: str
    group: str
    kind: str
    domain: str
    form: str
    doses: Mapping[str, float]
    """Of the teachers that score prompts with the behavior's cue; the truth is their names."""
    held: tuple[str, ...]
    """All teachers that were taught it, heard or not."""
    shown: bool
    carriers: tuple[str, ...]
    """Heard teachers that were taught the same kind with another cue."""
    given: str
    """Which of ``GIVEN`` the student gives at the first question, word by word the likeliest."""
    count: int
    tokens: float
    """Mean tokens of a response; 0 with a contrast, as in a verdict."""
    begun: float
    ended: float
    tables: Mapping[str, Table]
    """By estimator, nats of each teacher."""

    @property
    def truth(self) -> tuple[str, ...]:
        """The teachers that taught it; none for what nobody taught."""
        return tuple(sorted(self.doses))

    @property
    def is_contrast(self) -> bool:
        """Whether the behavior is asked against the ordinary answer."""
        return self.form.endswith("contrast")

    @property
    def is_judged(self) -> bool:
        """Whether an auditor asks it, and the truth is known without a retrain.

        What nobody taught is asked even where the student does not show it: what it shows of an
        untaught kind would be a choice of odd cases.
        """
        return self.group != SPILL and (self.shown or self.group == NEVER)

    @property
    def cluster(self) -> Cluster:
        """What is resampled as one: all forms of a behavior."""
        return self.world, self.behavior

    @property
    def case(self) -> Case:
        """The inputs of a verdict."""
        return Case(
            count=self.count,
            begun=self.begun,
            ended=self.ended,
            parts=self.tables["parts"],
            taught=self.tables["taught"],
            num_tokens=self.tokens,
            sure=None,
            owners={},
            start="the fork point",
        )


def items_of(row: Mapping[str, Any]) -> list[AuditItem]:
    """Return the questions of a world's row."""
    owners = {name: domain for domain, names in _by_domain(row["seats"]).items() for name in names}
    return [item for behavior in row["behaviors"] for item in _forms(row, behavior, owners)]


def _by_domain(seats: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the only teacher of each domain; a domain with several has no owner."""
    found: dict[str, list[str]] = {}
    for name, domain in seats.items():
        found.setdefault(domain, []).append(name)
    return {domain: names if len(names) == 1 else [] for domain, names in found.items()}


def _forms(
    row: Mapping[str, Any], behavior: Mapping[str, Any], owners: Mapping[str, str]
) -> Iterator[AuditItem]:
    pairs = list(zip(behavior[RESPONSE], behavior[CONTRAST], strict=True))
    shown = fmean(said["ended"] - usual["ended"] for said, usual in pairs) >= SHOWN
    for form in FORMS:
        chosen = pairs if form.startswith("set") else pairs[:1]
        signs = (1.0, -1.0) if form.endswith("contrast") else (1.0, 0.0)
        yield AuditItem(
            world=row["world"],
            behavior=behavior["name"],
            group=behavior["group"],
            kind=behavior["kind"],
            domain=behavior["domain"],
            form=form,
            doses=behavior["heard"],
            held=tuple(sorted(behavior["doses"])),
            shown=shown,
            carriers=tuple(behavior["carriers"]),
            given=_given(*pairs[0]),
            count=len(chosen),
            tokens=0.0 if signs[1] else fmean(said["tokens"] for said, _ in chosen),
            begun=_mean(chosen, signs, "begun"),
            ended=_mean(chosen, signs, "ended"),
            tables={
                **{name: _table(chosen, signs, name, row["seats"]) for name in _TABLES},
                "owner": {
                    name: float(owners.get(name) == behavior["domain"]) for name in row["seats"]
                },
            },
        )


def _given(said: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    behavior, ordinary, neither = GIVEN
    if said["greedy"]:
        return behavior
    return ordinary if usual["greedy"] else neither


_TABLES = ("parts", "taught", "tracin", "surgery")
_Pairs = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]


def _mean(pairs: _Pairs, signs: tuple[float, float], name: str) -> float:
    return fmean(signs[0] * said[name] + signs[1] * usual[name] for said, usual in pairs)


def _table(
    pairs: _Pairs, signs: tuple[float, float], name: str, seats: Mapping[str, str]
) -> dict[str, float]:
    """Return the mean of a table over questions; the parts of no teacher are left out."""
    return {
        source: fmean(
            signs[0] * said[name][source] + signs[1] * usual[name][source] for said, usual in pairs
        )
        for source in seats
    }


def bounded(item: AuditItem) -> Table:
    """Return TracIn bounded by certainty, as an audit bounds it; log-odds have no bound."""
    least = -math.inf if item.is_contrast else item.ended
    return {name: max(nats, least) for name, nats in item.tables["tracin"].items()}


def smaller(item: AuditItem) -> Table:
    """Return the smaller of integral and log-ratio."""
    parts, taught = item.tables["parts"], item.tables["taught"]
    return {name: min(parts[name], taught[name]) for name in parts}


def shipped(item: AuditItem) -> tuple[str, ...]:
    """Return the teachers that the product names, or lists as holders."""
    verdict = judge(item.case, ())
    return verdict.holders or ((verdict.named,) if verdict.named else ())
