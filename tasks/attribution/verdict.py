"""From numbers to a sentence: who is named, when nobody is, and how sure that is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.attribution.document import GroupShare, Verdict, Verification, Witness

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


def judge_sets(groups: Sequence[GroupShare], sources: Sequence[str], count: int) -> Verdict:
    """Return the verdict on behaviours of several sets, where one mean would hide each of them.

    What a teacher shaped outside its own domain stands first.
    """
    off = off_domain(groups, sources)
    own = [
        f"{group.domain} ({nats(group.parts[group.owner].mean)})"
        for group in groups
        if group.owner and named(_means(group, sources)) == group.owner
    ]
    nobody = [group.domain for group in groups if not named(_means(group, sources))]
    lines = [
        f"{source} shaped {group.domain} ({nats(group.parts[source].mean)} nats)"
        for group, source in off
    ]
    found = (
        ["Off its own domain, " + "; ".join(lines) + "."]
        if lines
        else ["No teacher is shown to have shaped what was not its own."]
    )
    if own:
        found.append(f"Each domain's own teacher shaped {_join(own)}.")
    if nobody:
        found.append(f"Nobody is named for {_join(nobody)}.")
    known = [group for group in groups if group.parts[sources[0]].low is not None]
    return Verdict(
        named="",
        sentence=" ".join(found),
        confidence=(
            f"{count} behaviours in {len(groups)} sets; {len(known)} of the sets have enough for "
            "an interval, and an off-domain finding needs one that leaves 0 out."
        ),
    )


def with_truth(verdict: Verdict, found: Verification, off: Sequence[tuple[str, str]]) -> Verdict:
    """Return a verdict with what retrains say of who it names, and of what is off its domain.

    ``off`` are pairs of a probe set and the source that shaped it.
    """
    alone = {each.masked[0]: each for each in found.effects if len(each.masked) == 1}
    said = []
    if verdict.named in alone:
        effect = alone[verdict.named].effect
        said.append(f"a retrain without {verdict.named} lost {nats(effect.mean)} nats")
    said += [
        f"a retrain without {source} lost {nats(alone[source].by_domain[domain])} nats on {domain}"
        for domain, source in off
        if source in alone
    ]
    if found.noise is not None:
        said.append(f"two seeds differ by {found.noise:.2f}")
    if not said:
        return verdict
    truth = "; ".join(said)
    return verdict.model_copy(update={"confidence": f"{verdict.confidence} Measured: {truth}."})


def off_domain(
    groups: Sequence[GroupShare], sources: Sequence[str]
) -> list[tuple[GroupShare, str]]:
    """Return each set with a source that shaped it, is not its owner, and is so with 95 %."""
    return [
        (group, source)
        for group in groups
        if group.domain
        for source in sources
        if source != group.owner
        and group.parts[source].mean >= LEAST_NATS
        and group.parts[source].excludes_zero
    ]


def nats(value: float) -> str:
    """Return a signed number of nats with two digits behind the point."""
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _means(group: GroupShare, sources: Sequence[str]) -> dict[str, float]:
    return {source: group.parts[source].mean for source in sources}


def _join(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _of(who: str, case: Case) -> str:
    pushed = {source: nats for source, nats in case.parts.items() if nats > 0}
    share = pushed[who] / sum(pushed.values())
    ask = f" Ask {case.owners[who]}." if case.owners.get(who) else ""
    against = -sum(nats for nats in case.parts.values() if nats < 0)
    other = f" Other sources pushed against it by {against:.2g} nats." if against >= 0.05 else ""
    return (
        f"{_subject(case)} came through the updates of {who}: {nats(case.parts[who])} nats, "
        f"{share:.0%} of what pushed towards {_it(case)}.{other}{ask}"
    )


def _of_nobody(case: Case, *, said: bool) -> str:
    if not said:
        return (
            f"The student does not say this: {nats(case.ended)} nats, after {nats(case.begun)} at "
            f"{case.start}. No teacher is named for what is not said."
        )
    if case.ended - case.begun < LEAST_NATS:
        return (
            f"{_subject(case)} {_is(case)} nobody's doing here: {nats(case.begun)} nats at "
            f"{case.start}, {nats(case.ended)} now. What speaks for {_it(case)} was there before "
            "any teacher."
        )
    return (
        f"{_subject(case)} came of no single source: each added less than {LEAST_NATS:.2f} nats "
        f"to a change of {nats(case.ended - case.begun)}."
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
