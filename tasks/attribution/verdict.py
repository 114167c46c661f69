"""Turns an audit's numbers into a sentence: the named teacher, or none, and the confidence."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.attribution.document import AuditVerdict, GroupShare, RetrainResult, Witness
from tasks.attribution.estimators import DOMAIN_OWNER, LOG_RATIO
from tasks.attribution.naming import ALIKE, LEAST_LOG_RATIO, LEAST_NATS, holders, named, reliability

SAID = 0.1
"""Minimum geometric mean of a response's token probabilities for the student to give it."""


@dataclass(frozen=True)
class Case:
    """The inputs of a verdict; all are means over behaviors, in nats."""

    count: int
    begun: float
    """Log-probability (against a contrast: log-odds) at the start of the round."""
    ended: float
    """The same under the student."""
    parts: Mapping[str, float]
    """Path integral of each source, without decay and rounding."""
    taught: Mapping[str, float]
    """Log-ratio of each teacher over the start."""
    num_tokens: float
    """Mean tokens of a response; 0 with contrasts, because log-odds give no probability."""
    sure: float | None
    """Share of resamples that name the same source; None for too few behaviors."""
    owners: Mapping[str, str]
    """Source to the team to ask."""
    start: str
    """A phrase for the round's initial checkpoint."""


def judge(case: Case, witnesses: Sequence[Witness]) -> AuditVerdict:
    """Return the verdict on a behavior, or on a set of them."""
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
    """Return the verdict on behaviors of several sets, which one mean would hide.

    Behaviors that a teacher shaped outside its own domain come first, with the teams to ask
    (``owners``).
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
    teams = _ask((source for _, source in off), owners)
    found = (
        [f"Outside its own domain, {'; '.join(lines)}.{teams}"]
        if lines
        else ["No teacher is shown to have shaped another domain."]
    )
    if shared:
        held = [
            f"{group.domain} ({join(f'{name} {_taught_by(group, name)}' for name in names)})"
            for group, names in shared
        ]
        found.append(f"Held alike by several teachers, so none is named: {'; '.join(held)}.")
    if own:
        found.append(f"Each domain's own teacher shaped {join(own)}.")
    if unnamed:
        found.append(f"No teacher is named for {join(unnamed)}.")
    known = [group for group in groups if group.parts[sources[0]].low is not None]
    return AuditVerdict(
        named="",
        sentence=" ".join(found),
        confidence=(
            f"{count} behaviors in {len(groups)} sets; {len(known)} of the sets are large enough "
            "for an interval. A finding outside a teacher's own domain needs an interval that "
            "excludes 0. Nats are the teacher's mean log-ratio over the start. Names were tested "
            "on single short answers, not on sets."
        ),
    )


def witness(name: str, parts: Mapping[str, float]) -> Witness:
    """Return another estimator's result with the source that it names: its largest, or none."""
    best = max(parts, key=lambda source: parts[source])
    if name != DOMAIN_OWNER:
        most = best if parts[best] >= LEAST_NATS else ""
        return Witness(name=name, parts=parts, named=most)
    most = (
        best if parts[best] > 0.5 else ""
    )  # with behaviors of several domains, no teacher owns most
    return Witness(name=name, parts=parts, named=most, unit="share of the behaviors")


def with_truth(
    verdict: AuditVerdict, found: RetrainResult, off: Sequence[tuple[str, str]]
) -> AuditVerdict:
    """Return a verdict with the retrains' effects for the named and the off-domain sources.

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
    """Return each set with a named source other than its owner, at 95 % confidence.

    The updates of that source must have pushed toward the set too.
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
    """Return the source that is named for a set as a whole."""
    return named(*_means(group, sources))


def held_by(group: GroupShare, sources: Sequence[str]) -> tuple[str, ...]:
    """Return the teachers that hold a set as a whole."""
    return holders(*_means(group, sources))


def _means(
    group: GroupShare, sources: Sequence[str]
) -> tuple[Mapping[str, float], Mapping[str, float], float]:
    parts = {source: group.parts[source].mean for source in sources}
    taught = {teacher: share.mean for teacher, share in group.taught.items()}
    return parts, taught, group.end - group.start


def nats(value: float) -> str:
    """Return a signed number of nats with two decimals."""
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _taught_by(group: GroupShare, source: str) -> str:
    return nats(group.taught.get(source, group.parts[source]).mean)


def join(names: Iterable[str]) -> str:
    """Return names as a list in prose: ``a, b and c``."""
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
    per_token = " per token" if case.num_tokens > 1 else ""
    ledger = (
        f"its updates added {nats(case.parts[who])} nats of the student's {change}"
        if case.parts[who] > 0
        else f"but its updates pushed against it ({nats(case.parts[who])} nats), so take the name "
        "with care"
    )
    return (
        f"{_subject(case)} {_is(case)} {who}'s: of all teachers, {who} finds {_it(case)} most "
        f"likely relative to {case.start} ({nats(case.taught[who])} nats, {times:.2g} times"
        f"{per_token}); {ledger}.{ask}"
    )


def _of_several(held: Sequence[str], case: Case) -> str:
    finds = join(f"{name} ({nats(case.taught[name])} nats)" for name in held)
    pushed = sorted(case.parts, key=lambda source: -case.parts[source])
    through = join(f"{source} ({nats(case.parts[source])})" for source in pushed)
    return (
        f"{_subject(case)} {_is(case)} held by {join(held)} alike: relative to {case.start}, "
        f"{finds} find {_it(case)} more likely, within {ALIKE} nats of each other, too close to "
        f"name one. The student gained {nats(case.ended - case.begun)} nats; by the ledger, they "
        f"came through the updates of {through}.{_ask(held, case.owners)}"
    )


def _ask(sources: Iterable[str], owners: Mapping[str, str]) -> str:
    """Return a sentence with the teams to ask about sources; "" without a known team."""
    teams = dict.fromkeys(owners[source] for source in sources if owners.get(source))
    return f" Ask {join(teams)}." if teams else ""


def _of_nobody(case: Case, *, said: bool) -> str:
    if not said:
        return (
            f"The student does not give this response: {nats(case.ended)} nats, after "
            f"{nats(case.begun)} at {case.start}. No teacher is named for such a response."
        )
    if case.ended - case.begun < LEAST_NATS:
        return (
            f"No teacher shaped {_subject(case).lower()}: {nats(case.begun)} nats at "
            f"{case.start}, {nats(case.ended)} now. The student learned {_it(case)} before this "
            "round."
        )
    return (
        f"No single teacher shaped {_subject(case).lower()}: none finds {_it(case)} more likely "
        f"than {case.start} did by {LEAST_LOG_RATIO} nats, although the student gained "
        f"{nats(case.ended - case.begun)}. It may be a side effect of training on other answers."
    )


def _confidence(who: str, case: Case, witnesses: Sequence[Witness], *, said: bool) -> str:
    parts = [*_tested(who, case)] if said else []
    if case.sure is not None and who:
        parts.append(f"{case.sure:.0%} of resampled sets of behaviors name the same source")
    elif case.sure is None:
        parts.append(f"{case.count} behavior{'s' * (case.count > 1)}: too few for an interval")
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
    """Return the confidence that several teachers hold a behavior, and the next step."""
    names = "; ".join(f"{each.name} names {each.named or 'no teacher'}" for each in witnesses)
    few = f"; {case.count} behavior{'s' * (case.count > 1)}: too few for an interval"
    return (
        f"{reliability().of_holders()}; a retrain without each of them measures its absence"
        f"{few if case.sure is None else ''}{f'; {names}' if names else ''}."
    )


def _tested(who: str, case: Case) -> Iterator[str]:
    """Yield the measured reliability of such an answer."""
    if who in case.taught:
        yield f"named by {LOG_RATIO}"
        yield reliability().of_name(pushed=case.parts[who] > 0)
    elif who:
        yield "no benchmark tests names of sources other than teachers"
        return
    else:
        yield reliability().of_nobody()
    unlike = reliability().untested(case.count, case.num_tokens)
    if unlike:
        yield unlike


def _subject(case: Case) -> str:
    return "This behavior" if case.count == 1 else f"These {case.count} behaviors"


def _it(case: Case) -> str:
    return "it" if case.count == 1 else "them"


def _is(case: Case) -> str:
    return "is" if case.count == 1 else "are"
