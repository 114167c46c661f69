"""Names of methods, numbers and findings in words, for terminal, plot and page."""

from tasks.evaluate.normalised import Normalised
from tasks.evaluate.outcomes import FORK_POINT, OVERALL, STUDENT, TEACHER
from tasks.evaluate.scorecard import Scorecard
from tasks.statistics import Interval

NO_CONTROLS = ("base", FORK_POINT, TEACHER, STUDENT)
"""Methods that are not controls: fork point, teacher and student."""

NO_BREAK = "\N{NO-BREAK SPACE}"
MINUS, DASH, APOSTROPHE = "\N{MINUS SIGN}", "\N{EN DASH}", "\N{RIGHT SINGLE QUOTATION MARK}"

_LABELS = {
    "off_policy_sft": "off-policy SFT",
    "mix_rl": "Mix-RL",
    "cascade_rl": "Cascade RL",
    "mopd": "MOPD",
}


def label(method: str) -> str:
    """Return a method's name for people: ``parameter_average`` reads "parameter average"."""
    return _LABELS.get(method, method.replace("_", " "))


def number(value: float) -> str:
    """Return a score with two decimals; a third would claim more than 400 prompts give."""
    return f"{value:.2f}".replace("-", MINUS) if round(value, 2) else "0.00"


def signed(value: float) -> str:
    """Return a difference with its sign; 0.00 has none."""
    text = number(value)
    return f"+{text}" if round(value, 2) > 0 else text


def percent(value: float) -> str:
    """Return a share in whole percents; the sign never parts from its number."""
    return f"{100 * value:.0f}{NO_BREAK}%".replace("-", MINUS)


def span(interval: Interval) -> str:
    """Return the limits of a score, with a dash between them."""
    return f"{number(interval.low)}{DASH}{number(interval.high)}"


def signed_span(interval: Interval) -> str:
    """Return the limits of a difference, with their signs and "to" between them."""
    return f"{signed(interval.low)} to {signed(interval.high)}"


def known(score: Normalised | None) -> Interval | None:
    """Return a normalized score as an interval, or None if it is missing."""
    if score is None or score.mean is None or score.low is None or score.high is None:
        return None
    return Interval(score.mean, score.low, score.high, score.n)


def controls(card: Scorecard) -> tuple[str, ...]:
    """Return the methods that the student is compared with."""
    return tuple(method for method in card.methods() if method not in NO_CONTROLS)


def compared(card: Scorecard) -> tuple[str, ...]:
    """Return the methods with a meaningful normalized score: the student and the controls."""
    return tuple(
        method for method in (STUDENT, *controls(card)) if method in card.overall.normalised
    )


def sampling(card: Scorecard) -> str:
    """Return the setting of the measurement: prompts, samples, temperature, seed."""
    counts = sorted({each.methods[card.subject].n for each in card.domains.values()})
    prompts = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    settings = card.settings
    plural = "s" if settings.samples > 1 else ""
    return (
        f"{prompts} held-out prompts per domain, {settings.samples} sample{plural} each, "
        f"temperature {settings.temperature:g}, seed {settings.seed}"
    )


def headline(card: Scorecard) -> str:
    """Return the main finding in one sentence, computed from the scorecard."""
    if card.subject != STUDENT:
        return _teacher_headline(card)
    share = known(card.overall.normalised.get(STUDENT))
    if share is None:
        opening = f"The student scores {number(card.overall.methods[STUDENT].mean)} overall"
    else:
        missing = _without_normalised(card)
        opening = (
            f"The student reaches {percent(share.mean)} of its teachers{APOSTROPHE} gain over "
            f"the fork point (95{NO_BREAK}% interval {percent(share.low)} to {percent(share.high)}"
            f"{f', leaving out {_join(missing)}' if missing else ''})"
        )
    return f"{opening}{_against_best_control(card)}."


def findings(card: Scorecard) -> tuple[str, ...]:
    """Return further findings: each domain against its teacher, and missing scores."""
    if card.subject != STUDENT:
        return ()
    against = {domain: card.paired[domain][TEACHER] for domain in card.domains}
    below = [f"{name} ({signed(each.mean)})" for name, each in against.items() if each.high < 0]
    above = [f"{name} ({signed(each.mean)})" for name, each in against.items() if each.low > 0]
    sentences = [
        f"Below its teacher in {_join(below)}." if below else "",
        f"Above its teacher in {_join(above)}." if above else "",
        _indistinguishable(len(against) - len(below) - len(above), len(against)),
        *_losses(card),
        *_missing(card),
    ]
    return tuple(sentence for sentence in sentences if sentence)


def _teacher_headline(card: Scorecard) -> str:
    gain = card.paired[OVERALL].get(FORK_POINT)
    score = card.overall.methods[TEACHER]
    if gain is None:
        return f"The teacher scores {number(score.mean)} ({span(score)})."
    return (
        f"The teacher scores {number(score.mean)}, {signed(gain.mean)} on the fork point "
        f"({signed_span(gain)})."
    )


def _against_best_control(card: Scorecard) -> str:
    rivals = controls(card)
    if not rivals:
        return ""
    best = max(rivals, key=lambda method: card.overall.methods[method].mean)
    lead = card.paired[OVERALL][best]
    if lead.low > 0:
        return f" and beats the best control, {label(best)}, by {number(lead.mean)}"
    if lead.high < 0:
        return f" but falls {number(-lead.mean)} short of the best control, {label(best)}"
    return f" and does not differ measurably from the best control, {label(best)}"


def _indistinguishable(count: int, total: int) -> str:
    if not count:
        return ""
    where = "in every domain" if count == total else f"in {count} of {total} domains"
    return f"Not distinguishable from its teacher {where}."


def _losses(card: Scorecard) -> list[str]:
    """Name the domains in which the student is worse than the fork point."""
    lost = [
        name
        for name in card.domains
        if FORK_POINT in card.paired[name] and card.paired[name][FORK_POINT].high < 0
    ]
    return [f"Worse than the fork point in {_join(lost)}."] if lost else []


def _missing(card: Scorecard) -> list[str]:
    reasons = {name: card.domains[name].normalised[STUDENT] for name in _without_normalised(card)}
    return [f"No normalized score in {name}: {each.reason}." for name, each in reasons.items()]


def _without_normalised(card: Scorecard) -> list[str]:
    return [
        name
        for name, each in card.domains.items()
        if STUDENT in each.normalised and each.normalised[STUDENT].mean is None
    ]


def _join(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
