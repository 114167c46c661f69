"""From numbers to a sentence: which teacher is named, when none is, and how sure that is."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.attribution.document import AuditVerdict, GroupShare, RetrainResult, Witness
from tasks.attribution.estimators import DOMAIN_OWNER, LOG_RATIO
from tasks.attribution.naming import ALIKE, LEAST_LOG_RATIO, LEAST_NATS, holders, named, reliability

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
    """By source, the path integral; decay and rounding are not among them."""
    taught: Mapping[str, float]
    """By teacher, how much likelier it finds the behaviour than the start did."""
    num_tokens: float
    """Of a response, as a mean; 0 where there are contrasts: log-odds say no probability."""
    sure: float | None
    """Share of resamples that name the same source; None for too few behaviours."""
    owners: Mapping[str, str]
    """Source to the team to ask."""
    start: str
    """What the round began with, in words."""


def judge(case: Case, witnesses: Sequence[Witness]) -> AuditVerdict:
    """Return the verdict on a behaviour, or on a set of them."""
    change = case.ended - case.begun
    said = case.num_tokens == 0 or math.exp(case.ended / case.num_tokens) >= SAID
    held = holders(case.parts, case.taught, change) if said else ()
    who = named(case.parts, case.taught, change) if said else ""
    if len(held) > 1:
        sentence, confidence = _of_several(held, case), _unresolved(case, witnesses)
    else:
        sentence = _of(who, case) if who else _of_nobody(case, said=said)
        confidence = _confidence(who, case, witnesses, said=said)
    return AuditVerdict(named=who, holders=held, sentence=sentence, confidence=confidence)


def judge_sets(
    groups: Sequence[GroupShare], sources: Sequence[str], count: int, owners: Mapping[str, str]
) -> AuditVerdict:
    """Return the verdict on behaviours of several sets, where one mean would hide each of them.

    What a teacher shaped outside its own domain comes first, with the teams to ask (``owners``).
    """
    off = off_domain(groups, sources)
    own = [
        f"{group.domain} ({_taught_by(group, group.owner)})"
        for group in groups
        if group.owner and named_for(group, sources) == group.owner
    ]
    shared = [(group, held) for group in groups for held in [held_by(group, sources)] if held[1:]]
    several = [group for group, _ in shared]
    unnamed = [g.domain for g in groups if not named_for(g, sources) and g not in several]
    lines = [f"{name} shaped {each.domain} ({_taught_by(each, name)} nats)" for each, name in off]
    found = (
        [f"Off its own domain, {'; '.join(lines)}.{_ask((source for _, source in off), owners)}"]
        if lines
        else ["No teacher is shown to have shaped what was not its own."]
    )
    if shared:
        held = [
            f"{group.domain} ({join(f'{name} {_taught_by(group, name)}' for name in names)})"
            for group, names in shared
        ]
        found.append(f"Several teachers hold alike, so that none is named: {'; '.join(held)}.")
    if own:
        found.append(f"Each domain's own teacher shaped {join(own)}.")
    if unnamed:
        found.append(f"No teacher is named for {join(unnamed)}.")
    known = [group for group in groups if group.parts[sources[0]].low is not None]
    return AuditVerdict(
        named="",
        sentence=" ".join(found),
        confidence=(
            f"{count} behaviours in {len(groups)} sets; {len(known)} of the sets have enough for "
            "an interval, and an off-domain finding needs one that leaves 0 out. Nats are by how "
            "much likelier the teacher finds a set than the start did. Names were tested on single "
            "short answers, not on sets."
        ),
    )


def witness(name: str, parts: Mapping[str, float]) -> Witness:
    """Return who another way of asking names: the largest, if it doubled the odds."""
    best = max(parts, key=lambda source: parts[source])
    if name != DOMAIN_OWNER:
        most = best if parts[best] >= LEAST_NATS else ""
        return Witness(name=name, parts=parts, named=most)
    most = (
        best if parts[best] > 0.5 else ""
    )  # of behaviours of several domains no teacher owns most
    return Witness(name=name, parts=parts, named=most, unit="share of the behaviours")


def with_truth(
    verdict: AuditVerdict, found: RetrainResult, off: Sequence[tuple[str, str]]
) -> AuditVerdict:
    """Return a verdict with what retrains say of who it names, and of what is off its domain.

    ``off`` are pairs of a probe set and the source that shaped it.
    """
    alone = {each.masked[0]: each for each in found.effects if len(each.masked) == 1}
    measured = [
        f"a retrain without {name} lost {nats(alone[name].effect.mean)} nats"
        for name in verdict.holders or (verdict.named,)
        if name in alone
    ]
    measured += [
        f"a retrain without {source} lost {nats(alone[source].by_domain[domain])} nats on {domain}"
        for domain, source in off
        if source in alone
    ]
    if found.noise is not None:
        measured.append(f"two seeds of the whole round differ by {found.noise:.2g} nats")
    if not measured:
        return verdict
    truth = "; ".join(measured)
    return verdict.model_copy(update={"confidence": f"{verdict.confidence} Measured: {truth}."})


def off_domain(
    groups: Sequence[GroupShare], sources: Sequence[str]
) -> list[tuple[GroupShare, str]]:
    """Return each set with who is named for it, is not its owner, and is so with 95 %.

    Its updates must have pushed towards the set too.
    """
    return [
        (group, who)
        for group in groups
        if group.domain
        for who in [named_for(group, sources)]
        if who
        and who != group.owner
        and group.parts[who].mean > 0
        and group.taught.get(who, group.parts[who]).excludes_zero
    ]


def named_for(group: GroupShare, sources: Sequence[str]) -> str:
    """Return who is named for a set as a whole."""
    return named(*_means(group, sources))


def held_by(group: GroupShare, sources: Sequence[str]) -> tuple[str, ...]:
    """Return who holds a set as a whole."""
    return holders(*_means(group, sources))


def _means(
    group: GroupShare, sources: Sequence[str]
) -> tuple[Mapping[str, float], Mapping[str, float], float]:
    parts = {source: group.parts[source].mean for source in sources}
    taught = {teacher: share.mean for teacher, share in group.taught.items()}
    return parts, taught, group.end - group.start


def nats(value: float) -> str:
    """Return a signed number of nats with two digits behind the point."""
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _taught_by(group: GroupShare, source: str) -> str:
    return nats(group.taught.get(source, group.parts[source]).mean)


def join(names: Iterable[str]) -> str:
    """Return names as a person lists them: ``a, b and c``."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _of(who: str, case: Case) -> str:
    ask = _ask([who], case.owners)
    change = nats(case.ended - case.begun)
    if who not in case.taught:
        return (
            f"{_subject(case)} came through the updates of {who}: {nats(case.parts[who])} of "
            f"{change} nats; no teacher is named.{ask}"
        )
    times = math.exp(case.taught[who] / max(1.0, case.num_tokens))
    per_token = " a token" if case.num_tokens > 1 else ""
    ledger = (
        f"its updates added {nats(case.parts[who])} nats where the student gained {change}"
        if case.parts[who] > 0
        else f"but its updates pushed against it ({nats(case.parts[who])} nats), so take the name "
        "with care"
    )
    return (
        f"{_subject(case)} {_is(case)} {who}'s: of all teachers {who} finds {_it(case)} likeliest "
        f"beside {case.start} ({nats(case.taught[who])} nats, {times:.2g} times{per_token}); "
        f"{ledger}.{ask}"
    )


def _of_several(held: Sequence[str], case: Case) -> str:
    finds = join(f"{name} ({nats(case.taught[name])} nats)" for name in held)
    pushed = sorted(case.parts, key=lambda source: -case.parts[source])
    through = join(f"{source} ({nats(case.parts[source])})" for source in pushed)
    return (
        f"{_subject(case)} {_is(case)} held by {join(held)} alike: beside {case.start}, {finds} "
        f"find {_it(case)} likelier and lie within {ALIKE} nats, too close to name one. Of the "
        f"{nats(case.ended - case.begun)} nats that the student gained, the ledger books on the "
        f"updates of {through}.{_ask(held, case.owners)}"
    )


def _ask(sources: Iterable[str], owners: Mapping[str, str]) -> str:
    """Return the teams to ask about sources; "" where no team is known."""
    teams = dict.fromkeys(owners[source] for source in sources if owners.get(source))
    return f" Ask {join(teams)}." if teams else ""


def _of_nobody(case: Case, *, said: bool) -> str:
    if not said:
        return (
            f"The student does not say this: {nats(case.ended)} nats, after {nats(case.begun)} at "
            f"{case.start}. No teacher is named for what is not said."
        )
    if case.ended - case.begun < LEAST_NATS:
        return (
            f"{_subject(case)} {_is(case)} no teacher's doing here: {nats(case.begun)} nats at "
            f"{case.start}, {nats(case.ended)} now. What speaks for {_it(case)} was there before "
            "any teacher."
        )
    return (
        f"{_subject(case)} {_is(case)} no single teacher's: none finds {_it(case)} likelier than "
        f"{case.start} did by {LEAST_LOG_RATIO} nats, though the student gained "
        f"{nats(case.ended - case.begun)}. What was learned for other answers may have spread."
    )


def _confidence(who: str, case: Case, witnesses: Sequence[Witness], *, said: bool) -> str:
    parts = [*_tested(who, case)] if said else []
    if case.sure is not None and who:
        parts.append(f"{case.sure:.0%} of resampled sets of behaviours name the same source")
    elif case.sure is None:
        parts.append(f"{case.count} behaviour{'s' * (case.count > 1)}: too few for an interval")
    agree = [each.name for each in witnesses if each.named == who]
    differ = [
        f"{each.name} ({each.named or 'no teacher'})" for each in witnesses if each.named != who
    ]
    if agree:
        parts.append(f"agreeing: {', '.join(agree)}")
    if differ:
        parts.append(f"differing: {', '.join(differ)}")
    return "; ".join(parts) + "."


def _unresolved(case: Case, witnesses: Sequence[Witness]) -> str:
    """Return how sure it is that several hold a behaviour, and what would tell more."""
    names = "; ".join(f"{each.name} names {each.named or 'no teacher'}" for each in witnesses)
    few = f"; {case.count} behaviour{'s' * (case.count > 1)}: too few for an interval"
    return (
        f"{reliability().of_holders()}; a retrain without each tells what its absence changes"
        f"{few if case.sure is None else ''}{f'; {names}' if names else ''}."
    )


def _tested(who: str, case: Case) -> Iterator[str]:
    """Yield what is known of how often such an answer is right."""
    if who in case.taught:
        yield f"named by {LOG_RATIO}"
        yield reliability().of_name(pushed=case.parts[who] > 0)
    elif who:
        yield "no benchmark tests names of what is no teacher"
        return
    else:
        yield reliability().of_nobody()
    unlike = reliability().untested(case.count, case.num_tokens)
    if unlike:
        yield unlike


def _subject(case: Case) -> str:
    return "This behaviour" if case.count == 1 else f"These {case.count} behaviours"


def _it(case: Case) -> str:
    return "it" if case.count == 1 else "them"


def _is(case: Case) -> str:
    return "is" if case.count == 1 else "are"
