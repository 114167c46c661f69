"""A scorecard in words: names, numbers and findings, and as a table for a terminal."""

from collections.abc import Callable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tasks.contracts.controls import Control
from tasks.evaluate.scorecard import Scorecard
from tasks.evaluate.scores import FORK_POINT, OVERALL, STUDENT, TEACHER, Normalized
from tasks.statistics import Interval

NO_CONTROLS = ("base", FORK_POINT, TEACHER, STUDENT)
"""Methods that are not controls: fork point, teacher and student."""

ONE_RUN = (
    "This is one training run: the intervals are over prompts, and another seed of the training "
    "may lie outside them."
)
"""A finding of every student."""

NO_BREAK = "\N{NO-BREAK SPACE}"
MINUS, DASH, APOSTROPHE = "\N{MINUS SIGN}", "\N{EN DASH}", "\N{RIGHT SINGLE QUOTATION MARK}"

_LABELS = {
    "off_policy_sft": "off-policy SFT",
    "off_policy_kd": "off-policy KD",
    "mix_rl": "Mix-RL",
    "cascade_rl": "Cascade RL",
    "mopd": "MOPD",
    "ties": "TIES",
    "dare": "DARE",
    "mopd_after_sft": "MOPD after SFT",
    "mopd_with_outcome": "MOPD with outcome",
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


def known(score: Normalized | None) -> Interval | None:
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
        method for method in (STUDENT, *controls(card)) if method in card.overall.normalized
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
    share = known(card.overall.normalized.get(STUDENT))
    if share is None:
        opening = f"The student scores {number(card.overall.methods[STUDENT].mean)} overall"
    else:
        missing = _without_normalized(card)
        opening = (
            f"The student reaches {percent(share.mean)} of its teachers{APOSTROPHE} gain over "
            f"the fork point (95{NO_BREAK}% interval {percent(share.low)} to {percent(share.high)}"
            f"{f', leaving out {_join(missing)}' if missing else ''})"
        )
    return f"{opening}{_against_best_control(card)}{_without_controls(card)}."


def findings(card: Scorecard) -> tuple[str, ...]:
    """Return further findings: domains against their teachers, missing scores, what is unknown."""
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
        *(f"{label(name)} was left out: {reason}." for name, reason in card.left_out.items()),
        ONE_RUN,
        _not_run(card),
    ]
    return tuple(sentence for sentence in sentences if sentence)


def _not_run(card: Scorecard) -> str:
    """Name the controls that this consolidation did not run: one of them may be the best."""
    missing = [
        label(each) for each in Control if each not in card.methods() and each not in card.left_out
    ]
    return f"Controls that were not run: {_join(missing)}." if missing else ""


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
    lead, count = card.paired[OVERALL][best], len(rivals)
    rival = f"the best of {count} controls, {label(best)}"
    if count == 1:
        rival = f"its only control, {label(best)}"
    if lead.low > 0:
        return f" and beats {rival}, by {number(lead.mean)}"
    if lead.high < 0:
        return f" but falls {number(-lead.mean)} short of {rival}"
    return f" and does not differ measurably from {rival}"


def _without_controls(card: Scorecard) -> str:
    """Return which controls the comparison lacks; the best of the others is then not the best."""
    if not card.left_out:
        return ""
    missing = [label(name) for name in card.left_out]
    return f"; control{'s' if len(missing) > 1 else ''} left out: {_join(missing)}"


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
    reasons = {name: card.domains[name].normalized[STUDENT] for name in _without_normalized(card)}
    return [f"No normalized score in {name}: {each.reason}." for name, each in reasons.items()]


def _without_normalized(card: Scorecard) -> list[str]:
    return [
        name
        for name, each in card.domains.items()
        if STUDENT in each.normalized and each.normalized[STUDENT].mean is None
    ]


def _join(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


COLUMNS = 5
"""Number columns side by side within 100 characters; more go into a second table below."""

NAME_WIDTH, NUMBER_WIDTH = 20, 14

Rows = Mapping[str, Mapping[str, Interval | None]]
"""row -> column -> interval, or None without a measurement."""


def scorecard_view(card: Scorecard) -> Group:
    """Return the scorecard for a rich console: scores, normalized, paired, teacher by domain."""
    every = card.everything()
    scores = {
        label(method): {name: each.methods[method] for name, each in every.items()}
        for method in card.methods()
    } | {label(name): dict.fromkeys(every) for name in card.left_out}
    normalized = {
        label(method): {name: known(each.normalized.get(method)) for name, each in every.items()}
        for method in compared(card)
    }
    paired = {
        f"{MINUS} {label(method)}": {name: card.paired[name][method] for name in every}
        for method in card.paired[OVERALL]
    }
    matrix = {
        f"{teacher} teacher": {domain: row.get(domain) for domain in card.domains}
        for teacher, row in card.matrix.items()
    }
    subject = label(card.subject)
    summary = Text.assemble((headline(card), "bold"), *(f"\n{line}" for line in findings(card)))
    return Group(
        summary,
        *_section(f"Score, with its 95 % interval\n{sampling(card)}", scores, _plain, subject),
        *_section(
            "Normalized score: 0 is the fork point, 1 the teacher of the domain",
            normalized,
            _plain,
            subject,
        ),
        *_section(f"The {subject} minus each other method, on the same prompts", paired, _signed),
        *_section("Each teacher on every domain", matrix, _plain),
    )


def _section(
    title: str, rows: Rows, show: Callable[[Interval], tuple[str, str]], strong: str = ""
) -> list[RenderableType]:
    """Return a heading and as many tables as the columns need; nothing for no rows."""
    if not rows:
        return []
    columns = list(next(iter(rows.values())))
    blocks = [columns[start : start + COLUMNS] for start in range(0, len(columns), COLUMNS)]
    return [Text(f"\n{title}\n"), *(_table(block, rows, show, strong) for block in blocks)]


def _table(
    columns: Sequence[str], rows: Rows, show: Callable[[Interval], tuple[str, str]], strong: str
) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="underline")
    table.add_column("", width=NAME_WIDTH, overflow="fold")
    for column in columns:
        table.add_column(Text(column), width=NUMBER_WIDTH, overflow="fold")
    for name, cells in rows.items():
        weight = "bold" if name == strong else ""
        texts = [_cell(cells[column], show, weight) for column in columns]
        table.add_row(Text(name, style=weight), *texts)
    return table


def _cell(
    interval: Interval | None, show: Callable[[Interval], tuple[str, str]], weight: str
) -> Text:
    if interval is None:
        return Text("—\n")
    mean, limits = show(interval)
    return Text.assemble((mean, weight), "\n", (limits, "dim"))


def _plain(interval: Interval) -> tuple[str, str]:
    return number(interval.mean), span(interval)


def _signed(interval: Interval) -> tuple[str, str]:
    return signed(interval.mean), signed_span(interval)
