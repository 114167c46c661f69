"""Turns an audit's numbers into a sentence: the named teacher, or none, and the confidence."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.attribution.document import AuditVerdict, RetrainResult, Witness
from tasks.attribution.estimators import DOMAIN_OWNER, LOG_RATIO
from tasks.attribution.naming import ALIKE, LEAST_LOG_RATIO, LEAST_NATS, holders, named, reliability
from tasks.attribution.warmed import WARM_UP

SAID = 0.1
"""Minimum geometric mean of a response's token probabilities for the student to give it."""


@dataclass(frozen=True)
class Case:
    """The inputs of a verdict; all are means over behaviors, in nats."""

    count: int
    begun: float
    """Log-probability (against a contrast: log-odds) at the start, before any warm-up."""
    ended: float
    """The same under the student."""
    parts: Mapping[str, float]
    """Path integral of each source, without decay and rounding; and what a warm-up brought."""
    taught: Mapping[str, float]
    """Log-ratio of each teacher over the start."""
    num_tokens: float
    """Mean tokens of a response; 0 with contrasts, because log-odds give no probability."""
    sure: float | None
    """Share of resamples that name the same source; None for too few behaviors."""
    owners: Mapping[str, str]
    """Source to the team to ask."""
    start: str
    """A phrase for the checkpoint that the change is counted from."""
    warmed_on: tuple[str, ...] = ()
    """Teachers that a warm-up before the round trained on; what it brought is a part."""


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


def nats(value: float) -> str:
    """Return a signed number of nats with two decimals."""
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def join(names: Iterable[str]) -> str:
    """Return names as a list in prose: ``a, b and c``."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _of(who: str, case: Case) -> str:
    team = ask([who], case.owners)
    change = nats(case.ended - case.begun)
    if who not in case.taught:
        through = f"the updates of {who}" if who != WARM_UP else _warm_up(case)
        return (
            f"{_subject(case)} came through {through}: {nats(case.parts[who])} of "
            f"{change} nats; no teacher is named.{team}"
        )
    times = math.exp(case.taught[who] / max(1.0, case.num_tokens))
    per_token = " per token" if case.num_tokens > 1 else ""
    return (
        f"{_subject(case)} {_is(case)} {who}'s: of all teachers, {who} finds {_it(case)} most "
        f"likely relative to {case.start} ({nats(case.taught[who])} nats, {times:.2g} times"
        f"{per_token}); {_brought(who, case)}.{team}"
    )


def _brought(who: str, case: Case) -> str:
    """Return what brought a teacher's behavior: its updates, and a warm-up on its answers."""
    change, own = nats(case.ended - case.begun), nats(case.parts[who])
    if who in case.warmed_on:
        care = "" if _has_pushed(who, case) else ", so take the name with care"
        return (
            f"of the student's {change} nats, {_warm_up(case)} brought "
            f"{nats(case.parts[WARM_UP])}, and its updates in the round added {own}{care}"
        )
    if case.parts[who] > 0:
        return f"its updates added {own} nats of the student's {change}"
    return f"but its updates pushed against it ({own} nats), so take the name with care"


def _warm_up(case: Case) -> str:
    return f"the warm-up on answers of {join(case.warmed_on)}"


def _has_pushed(who: str, case: Case) -> bool:
    """Return whether a teacher's updates, or a warm-up on its answers, pushed toward it."""
    return case.parts[who] > 0 or (who in case.warmed_on and case.parts[WARM_UP] > 0)


def _of_several(held: Sequence[str], case: Case) -> str:
    finds = join(f"{name} ({nats(case.taught[name])} nats)" for name in held)
    pushed = sorted(case.parts, key=lambda source: -case.parts[source])
    through = join(f"{source} ({nats(case.parts[source])})" for source in pushed)
    return (
        f"{_subject(case)} {_is(case)} held by {join(held)} alike: relative to {case.start}, "
        f"{finds} find {_it(case)} more likely, within {ALIKE} nats of each other, too close to "
        f"name one. The student gained {nats(case.ended - case.begun)} nats; by the ledger, they "
        f"came through the updates of {through}.{ask(held, case.owners)}"
    )


def ask(sources: Iterable[str], owners: Mapping[str, str]) -> str:
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
            f"{case.start}, {nats(case.ended)} now. The student learned {_it(case)} before "
            f"{'its warm-up' if case.warmed_on else 'this round'}."
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
        yield reliability().of_name(pushed=_has_pushed(who, case))
    elif who:
        yield "no benchmark tests names of sources other than teachers"
        return
    else:
        yield reliability().of_nobody()
    unlike = reliability().untested(case.count, case.num_tokens, is_warmed=bool(case.warmed_on))
    if unlike:
        yield unlike


def _subject(case: Case) -> str:
    return "This behavior" if case.count == 1 else f"These {case.count} behaviors"


def _it(case: Case) -> str:
    return "it" if case.count == 1 else "them"


def _is(case: Case) -> str:
    return "is" if case.count == 1 else "are"
