"""From numbers to a sentence: who is named, when nobody is, and how sure that is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.attribution.document import Verdict, Witness

LEAST_NATS = math.log(2)
"""A source is named if it made the behaviour at least twice as likely; less is nobody's doing."""
SAID = 0.1
"""Geometric mean of a response's token probabilities; below it the student does not say it."""


@dataclass(frozen=True)
class Case:
    """What a verdict follows from; all means over behaviours, in nats."""

    count: int
    begun: float
    """Log-probability (against a contrast: log-odds) where the round began ..."""
    ended: float
    """... and of the student."""
    parts: Mapping[str, float]
    """By source; decay and rounding are not among them."""
    num_tokens: float
    """Of a response, as a mean; 0 where there are contrasts, whose log-odds say no probability."""
    sure: float | None
    """Share of resamples that name the same source; None for too few behaviours."""
    owners: Mapping[str, str]
    """Source to the team to ask."""
    start: str
    """What the round began with, in words."""


def named(parts: Mapping[str, float]) -> str:
    """Return the source that added most, or "" if none made the behaviour twice as likely."""
    best = max(parts, key=lambda source: parts[source], default="")
    return best if best and parts[best] >= LEAST_NATS else ""


def judge(case: Case, witnesses: Sequence[Witness]) -> Verdict:
    """Return the verdict on a behaviour, or on a set of them."""
    who = named(case.parts)
    said = case.num_tokens == 0 or math.exp(case.ended / case.num_tokens) >= SAID
    if not said:
        who = ""
    sentence = _of_nobody(case, said=said) if not who else _of(who, case)
    return Verdict(named=who, sentence=sentence, confidence=_confidence(who, case, witnesses))


def _of(who: str, case: Case) -> str:
    pushed = {source: nats for source, nats in case.parts.items() if nats > 0}
    share = pushed[who] / sum(pushed.values())
    ask = f" Ask {case.owners[who]}." if case.owners.get(who) else ""
    against = -sum(nats for nats in case.parts.values() if nats < 0)
    other = f" Other sources pushed against it by {against:.2g} nats." if against >= 0.05 else ""
    return (
        f"{_subject(case)} came through the updates of {who}: {case.parts[who]:+.2f} nats, "
        f"{share:.0%} of what pushed towards {_it(case)}.{other}{ask}"
    )


def _of_nobody(case: Case, *, said: bool) -> str:
    if not said:
        return (
            f"The student does not say this: {case.ended:+.1f} nats after {case.begun:+.1f} at "
            f"{case.start}. No teacher is named for what is not said."
        )
    if case.ended - case.begun < LEAST_NATS:
        return (
            f"{_subject(case)} {_is(case)} nobody's doing here: {case.begun:+.2f} nats at "
            f"{case.start}, {case.ended:+.2f} now. What speaks for {_it(case)} was there before "
            "any teacher."
        )
    return (
        f"{_subject(case)} came of no single source: each added less than {LEAST_NATS:.2f} nats "
        f"to a change of {case.ended - case.begun:+.2f}."
    )


def _confidence(who: str, case: Case, witnesses: Sequence[Witness]) -> str:
    parts = []
    if case.sure is not None and who:
        parts.append(f"{case.sure:.0%} of resampled sets of behaviours name the same source")
    elif case.sure is None:
        parts.append(f"{case.count} behaviour{'s' * (case.count > 1)}: too few for an interval")
    agree = [witness.name for witness in witnesses if witness.named == who]
    differ = [
        f"{witness.name} ({witness.named or 'nobody'})"
        for witness in witnesses
        if witness.named != who
    ]
    if agree:
        parts.append(f"agreeing: {', '.join(agree)}")
    if differ:
        parts.append(f"differing: {', '.join(differ)}")
    return "; ".join(parts) + "."


def _subject(case: Case) -> str:
    return "This behaviour" if case.count == 1 else f"These {case.count} behaviours"


def _it(case: Case) -> str:
    return "it" if case.count == 1 else "them"


def _is(case: Case) -> str:
    return "is" if case.count == 1 else "are"
