"""Kinds of claims. Each is judged over all seeds at once: a prompt of another seed is a new prompt.

``CLAIMS`` of a recipe is a list such as::

    CLAIMS = [rises("ppo", over="init", domains=GRADED), ranks_pairs(least=0.7)]

A claim that something rises, falls or is shorter needs an interval that leaves out 0. A claim that
something is not worse needs a mean within a margin. Domains weigh the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from statistics import fmean

from benchmarks.recipes.evidence import Evidence, Series
from tasks.scoring.reward_model import REWARD_MODEL
from tasks.statistics import (
    Interval,
    mean_of_domains,
    paired_difference,
    prompt_means,
    t_half_width,
)

Runs = Sequence[Evidence]
"""One run for each seed."""
MARGIN = 0.05
"""What "not worse" allows, in points of a score."""


@dataclass(frozen=True)
class Verdict:
    """Whether a claim holds, and the number that decided it, with its interval if it has one."""

    holds: bool
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Claim:
    """A statement about the stages of a recipe, and how runs are judged by it."""

    statement: str
    judge: Callable[[Runs], Verdict]
    is_extra: bool = False
    """Whether it is ours alone: neither in the source's smallest test nor a condition of it."""


def extra(claim: Claim) -> Claim:
    """Return a claim that is shown, and does not decide whether its recipe passes."""
    return replace(claim, is_extra=True)


def rises(stage: str, over: str, domains: Sequence[str]) -> Claim:
    """Return the claim that a stage scores higher than another."""

    def judge(runs: Runs) -> Verdict:
        found = difference(runs, stage, over, domains)
        return Verdict(found.low > 0, *_numbers(found))

    return Claim(f"{stage} scores higher than {over} in {_listed(domains)}", judge)


def falls(stage: str, below: str, domains: Sequence[str]) -> Claim:
    """Return the claim that a stage scores lower than another."""

    def judge(runs: Runs) -> Verdict:
        found = difference(runs, stage, below, domains)
        return Verdict(found.high < 0, *_numbers(found))

    return Claim(f"{stage} scores lower than {below} in {_listed(domains)}", judge)


def holds(stage: str, beside: str, domains: Sequence[str], margin: float = MARGIN) -> Claim:
    """Return the claim that a stage scores at most ``margin`` lower than another."""

    def judge(runs: Runs) -> Verdict:
        found = difference(runs, stage, beside, domains)
        return Verdict(found.mean >= -margin, *_numbers(found))

    return Claim(
        f"{stage} scores at most {margin:g} lower than {beside} in {_listed(domains)}", judge
    )


def reaches(stage: str, domains: Sequence[str], least: float) -> Claim:
    """Return the claim that a stage's mean score is at least ``least``."""

    def judge(runs: Runs) -> Verdict:
        value = fmean(fmean(prompt_means(scores(runs, stage, name))) for name in domains)
        return Verdict(value >= least, value)

    return Claim(f"{stage} scores at least {least:g} in {_listed(domains)}", judge)


def regains(
    stage: str, lost_at: str, best: str, domains: Sequence[str], share: float = 0.5
) -> Claim:
    """Return the claim that ``stage`` regains a share of what ``lost_at`` lost since ``best``.

    It does not hold where nothing was lost: the interval of the loss must leave out 0.
    """

    def judge(runs: Runs) -> Verdict:
        loss = difference(runs, best, lost_at, domains)
        gain = difference(runs, stage, lost_at, domains)
        regained = gain.mean / loss.mean if loss.low > 0 else 0.0
        return Verdict(loss.low > 0 and regained >= share, regained)

    return Claim(
        f"{stage} regains at least {share:.0%} of what {lost_at} lost since {best} "
        f"in {_listed(domains)}",
        judge,
    )


def shorter(stage: str, than: str, domains: Sequence[str]) -> Claim:
    """Return the claim that a stage's responses have fewer tokens than another's."""

    def judge(runs: Runs) -> Verdict:
        found = _tokens(runs, stage, than, domains)
        return Verdict(found.high < 0, *_numbers(found))

    return Claim(f"{stage} writes fewer tokens than {than} in {_listed(domains)}", judge)


def longer(stage: str, than: str, domains: Sequence[str]) -> Claim:
    """Return the claim that a stage's responses have more tokens than another's."""

    def judge(runs: Runs) -> Verdict:
        found = _tokens(runs, stage, than, domains)
        return Verdict(found.low > 0, *_numbers(found))

    return Claim(f"{stage} writes more tokens than {than} in {_listed(domains)}", judge)


def ranks_pairs(least: float) -> Claim:
    """Return the claim that each reward model ranks held-out pairs right.

    Each interval must also lie above 0.5. A run without a reward model does not hold it, nor does
    one whose reward model held no pair out, as at the scale micro.
    """

    def judge(runs: Runs) -> Verdict:
        models = [series for run in runs for series in run.reward_models]
        if any(f"{REWARD_MODEL}/accuracy_low" not in series for series in models):
            return Verdict(holds=False, value=0.0)
        right = [last(series, f"{REWARD_MODEL}/accuracy") for series in models]
        lower = [last(series, f"{REWARD_MODEL}/accuracy_low") for series in models]
        return Verdict(
            bool(right) and min(right) >= least and min(lower) > 0.5, min(right, default=0.0)
        )

    return Claim(f"each reward model ranks at least {least:.0%} of its held-out pairs right", judge)


def metric_rises(stage: str, metric: str) -> Claim:
    """Return the claim that a metric, such as ``rl/reward``, is higher in the last quarter."""

    def judge(runs: Runs) -> Verdict:
        rises_by = [_change([value for _, value in run.series[stage][metric]]) for run in runs]
        return Verdict(min(rises_by) > 0, fmean(rises_by))

    return Claim(f"{metric} rises in {stage}, for each seed", judge)


def metric_below(stage: str, metric: str, most: float) -> Claim:
    """Return the claim that a metric ends below ``most`` in a stage, for each seed."""

    def judge(runs: Runs) -> Verdict:
        value = max(last(run.series[stage], metric) for run in runs)
        return Verdict(value < most, value)

    return Claim(f"{metric} ends below {most:g} in {stage}, for each seed", judge)


def metric_acts(stage: str, metric: str) -> Claim:
    """Return the claim that a metric, such as the share of a mask, is above 0 at some step."""

    def judge(runs: Runs) -> Verdict:
        value = min(max(value for _, value in run.series[stage][metric]) for run in runs)
        return Verdict(value > 0, value)

    return Claim(f"{metric} is above 0 in {stage}, for each seed", judge)


def metric_cut(stage: str, metric: str, of: str, share: float = 0.5) -> Claim:
    """Return the claim that a metric's last quarter is at most a share of another stage's."""

    def judge(runs: Runs) -> Verdict:
        pairs = [[_end(run.series[name][metric]) for name in (stage, of)] for run in runs]
        value = max(own / other if other else 1.0 for own, other in pairs)
        return Verdict(value <= share, value)

    return Claim(f"{metric} of {stage} ends at most at {share:.0%} of {of}'s, each seed", judge)


def drifts_less_than(most: float) -> Claim:
    """Return the claim that the last stage's mean KL from the base is below ``most`` nats a token.

    It is measured on the stage's own samples.
    """

    def judge(runs: Runs) -> Verdict:
        cards = [run.card for run in runs]
        value = fmean(fmean(card.drift[card.stages[-1].name].values()) for card in cards)
        return Verdict(value < most, value)

    return Claim(f"the KL from the base stays below {most:g} nats a token", judge)


def difference(runs: Runs, stage: str, other: str, domains: Sequence[str]) -> Interval:
    """Return the mean over domains of a stage's score less another's, paired by prompt and seed."""
    return mean_of_domains(
        [
            paired_difference(scores(runs, stage, name), scores(runs, other, name))
            for name in domains
        ]
    )


def scores(runs: Runs, stage: str, domain: str) -> list[tuple[float, ...]]:
    """Return the scores of each prompt's samples, seed after seed."""
    return [each.scores for run in runs for each in run.outcomes[stage][domain]]


def lengths(runs: Runs, stage: str, domain: str) -> list[float]:
    """Return the mean response tokens of each prompt, seed after seed."""
    return [fmean(each.lengths) for run in runs for each in run.outcomes[stage][domain]]


def last(series: Series, metric: str) -> float:
    """Return the last value of a metric."""
    return series[metric][-1][1]


def _tokens(runs: Runs, stage: str, other: str, domains: Sequence[str]) -> Interval:
    """Return the mean over prompts of a stage's response tokens less another's."""
    pairs = (
        zip(lengths(runs, stage, name), lengths(runs, other, name), strict=True) for name in domains
    )
    tokens = [one - another for one, another in chain(*pairs)]
    mean, half = fmean(tokens), t_half_width(tokens)
    return Interval(mean, mean - half, mean + half, len(tokens))


def _change(values: Sequence[float]) -> float:
    quarter = max(1, len(values) // 4)
    return fmean(values[-quarter:]) - fmean(values[:quarter])


def _end(points: Sequence[tuple[int, float]]) -> float:
    """Return the mean of a metric over its last quarter."""
    return fmean(value for _, value in points[-max(1, len(points) // 4) :])


def _numbers(found: Interval) -> tuple[float, float, float]:
    return found.mean, found.low, found.high


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
