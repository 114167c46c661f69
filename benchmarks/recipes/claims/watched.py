"""Kinds of claims about template modes, and about reward models beside the gold score."""

from collections.abc import Sequence
from math import hypot
from statistics import fmean

from benchmarks.recipes.claims.kinds import MARGIN, Claim, Runs, Verdict, last
from benchmarks.recipes.evidence import Series
from tasks.evaluate.scores import PromptOutcome
from tasks.statistics import Interval, mean_of_domains, paired_difference, t_half_width


def obeys(stage: str, domains: Sequence[str], least: float = 0.95) -> Claim:
    """Return the claim that a stage thinks just where its mode says so, in each mode.

    The share is at least ``least`` in every mode of every domain, over the seeds together.
    """

    def judge(runs: Runs) -> Verdict:
        shares = [
            fmean(obeyed for each in _of_mode(runs, stage, name, mode) for obeyed in each.obedient)
            for name in domains
            for mode in ("on", "off")
        ]
        return Verdict(min(shares) >= least, min(shares))

    return Claim(f"{stage} obeys both modes in {least:.0%} of {', '.join(domains)}", judge)


def thinking_helps(stage: str, domains: Sequence[str]) -> Claim:
    """Return the claim that a stage scores higher with thinking than without.

    The prompts of the modes differ, so they are not paired; domains weigh the same.
    """

    def judge(runs: Runs) -> Verdict:
        gains, halves = [], []
        for name in domains:
            on, off = (
                [fmean(each.scores) for each in _of_mode(runs, stage, name, mode)]
                for mode in ("on", "off")
            )
            gains.append(fmean(on) - fmean(off))
            halves.append(hypot(t_half_width(on), t_half_width(off)))
        gain, half = fmean(gains), hypot(*halves) / len(halves)
        return Verdict(gain - half > 0, gain, gain - half, gain + half)

    return Claim(f"{stage} scores higher with thinking in {', '.join(domains)}", judge)


def thinks_longer(stage: str, domains: Sequence[str], share: float = 0.5) -> Claim:
    """Return the claim that answers without thinking have at most a share of the tokens."""

    def judge(runs: Runs) -> Verdict:
        on, off = (
            fmean(
                fmean(each.lengths)
                for name in domains
                for each in _of_mode(runs, stage, name, mode)
            )
            for mode in ("on", "off")
        )
        return Verdict(off <= share * on, off / on)

    return Claim(
        f"{stage} writes without thinking at most {share:.0%} of the tokens with it "
        f"in {', '.join(domains)}",
        judge,
    )


def rises_in_mode(stage: str, over: str, domains: Sequence[str], mode: str) -> Claim:
    """Return the claim that a stage scores higher than another on the prompts of one mode."""

    def judge(runs: Runs) -> Verdict:
        found = _difference(runs, stage, over, domains, mode)
        return Verdict(found.low > 0, found.mean, found.low, found.high)

    listed = ", ".join(domains)
    return Claim(f"{stage} scores higher than {over} in {listed} in the mode {mode}", judge)


def holds_in_mode(
    stage: str, beside: str, domains: Sequence[str], mode: str, margin: float = MARGIN
) -> Claim:
    """Return the claim that a stage is not worse than another on the prompts of one mode."""

    def judge(runs: Runs) -> Verdict:
        found = _difference(runs, stage, beside, domains, mode)
        return Verdict(found.mean >= -margin, found.mean, found.low, found.high)

    return Claim(
        f"{stage} scores at most {margin:g} lower than {beside} in {', '.join(domains)} in the "
        f"mode {mode}",
        judge,
    )


def rewarded(stage: str, over: str, model: str, domains: Sequence[str]) -> Claim:
    """Return the claim that a reward model scores a stage higher than another, for each seed."""

    def judge(runs: Runs) -> Verdict:
        gains = [
            fmean(
                run.card.rewards[stage][name][model].reward
                - run.card.rewards[over][name][model].reward
                for name in domains
            )
            for run in runs
        ]
        return Verdict(min(gains) > 0, fmean(gains))

    return Claim(
        f"{model} scores {stage} higher than {over} in {', '.join(domains)}, for each seed", judge
    )


def surer_of_clear_pairs() -> Claim:
    """Return the claim that reward models rank clearly different answers right more often.

    Held-out pairs with the strongest label against those with the weakest, of all reward models.
    """

    def judge(runs: Runs) -> Verdict:
        models = [series for run in runs for series in run.reward_models]
        gain = _accuracy(models, "significantly") - _accuracy(models, "negligibly")
        return Verdict(gain > 0, gain)

    return Claim("reward models rank clear pairs right more often than unclear ones", judge)


def keeps_text(stage: str, beside: str) -> Claim:
    """Return the claim that a stage predicts held-out text better than another, for each seed."""

    def judge(runs: Runs) -> Verdict:
        nats = [run.card.text[beside] - run.card.text[stage] for run in runs]
        return Verdict(min(nats) > 0, fmean(nats))

    return Claim(
        f"{stage} predicts text of the pre-training better than {beside}, for each seed", judge
    )


def _accuracy(models: Sequence[Series], strength: str) -> float:
    """Return the share of the held-out pairs of a strength that are ranked right."""
    name = f"reward_model/accuracy_{strength}"
    counts = [(last(each, f"{name}_pairs"), last(each, name)) for each in models if name in each]
    pairs = sum(count for count, _ in counts)
    return sum(count * share for count, share in counts) / pairs if pairs else 0.0


def _of_mode(runs: Runs, stage: str, domain: str, mode: str) -> list[PromptOutcome]:
    return [each for run in runs for each in run.outcomes[stage][domain] if each.mode == mode]


def _difference(runs: Runs, stage: str, other: str, domains: Sequence[str], mode: str) -> Interval:
    """Return the mean over domains of one stage's score less another's, on one mode's prompts."""
    return mean_of_domains(
        [
            paired_difference(
                *(
                    [each.scores for each in _of_mode(runs, which, name, mode)]
                    for which in (stage, other)
                )
            )
            for name in domains
        ]
    )
