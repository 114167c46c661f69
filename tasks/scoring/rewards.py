"""A reward of terms: what each is worth for a rollout, and how they are combined.

Groups are the rollouts of one prompt in a step; pass rates and budgets are theirs.
"""

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev

from pydantic import JsonValue

from tasks.rollout.collect import Rollout
from tasks.rollout.responses import ScoredResponse
from tasks.rollout.thoughts import obeys_mode
from tasks.scoring.judge import Judge
from tasks.scoring.scorer import ResponseScorer
from tasks.scoring.terms import (
    AnyTerm,
    FormatTerm,
    GradeTerm,
    GuardRule,
    LanguageForm,
    LanguageTerm,
    LengthForm,
    LengthTerm,
    ModeTerm,
    RewardSettings,
    ScorerTerm,
)

_SAMPLER = "policy"
_KEPT_VERDICTS = 3
_LEAST_PROBABILITY = 1e-6
"""Bound of a probability before its logit, to both sides."""
SOLVED = 1.0
"""Grade of a correct response."""


class Rewards:
    """The rewards of rollouts under some settings."""

    def __init__(self, settings: RewardSettings, scorers: Mapping[str, ResponseScorer]) -> None:
        """Take the scorers by the names of their terms."""
        self._settings, self._scorers = settings, scorers
        self._budgets: dict[str, dict[str, int]] = defaultdict(dict)
        self._activity: dict[str, list[float]] = defaultdict(list)
        self.tokens = 0
        """Tokens that judges wrote so far."""
        self.verdicts: dict[str, list[str]] = {}
        """The last verdicts of each judge, in its own words."""

    def __call__(self, step: int, rollouts: Sequence[Rollout]) -> list[float]:
        """Return the reward of each rollout of whole groups, in order."""
        if not rollouts:
            return []
        rates = pass_rates(rollouts)
        weighted = {term.name: self._weighted(term, step, rollouts, rates) for term in self._terms}
        rewards = self._combined(weighted, rollouts)
        if self._settings.toggle is not None:
            rewards = self._toggled(step, rollouts, rewards, rates)
        return _whitened(rewards) if self._settings.whiten else rewards

    def activity(self) -> dict[str, float]:
        """Return how strongly each term acted since the last call: its mean part of the reward."""
        found = {name: fmean(values) for name, values in self._activity.items() if values}
        self._activity.clear()
        return found

    def state(self) -> dict[str, JsonValue]:
        """Return the budgets and the tokens so far."""
        budgets: dict[str, JsonValue] = {domain: dict(own) for domain, own in self._budgets.items()}
        return {"budgets": budgets, "tokens": self.tokens}

    def load_state(self, state: Mapping[str, JsonValue]) -> None:
        """Go on from a ``state``."""
        kept = state["budgets"]
        assert isinstance(kept, dict)
        self.tokens = int(str(state["tokens"]))
        for domain, budgets in kept.items():
            assert isinstance(budgets, dict)
            self._budgets[domain] = {name: int(str(tokens)) for name, tokens in budgets.items()}

    @property
    def _terms(self) -> list[AnyTerm]:
        return self._settings.terms

    def _weighted(
        self,
        term: AnyTerm,
        step: int,
        rollouts: Sequence[Rollout],
        rates: Mapping[tuple[str, str], float],
    ) -> list[float | None]:
        """Return a term's weighted value of each rollout; None where it does not count."""
        places = [p for p, r in enumerate(rollouts) if term.counts(step, r.domain)]
        chosen = [rollouts[place] for place in places]
        if not chosen:
            values: list[float] = []
        elif isinstance(term, ScorerTerm):
            scored = self._scores(term.name, [r.scored(_SAMPLER) for r in chosen])
            values = [_sigmoid(score) if term.squash else score for score in scored]
        else:
            values = [term_value(term, r, rates[r.domain, r.prompt.id]) for r in chosen]
        found: list[float | None] = [None] * len(rollouts)
        for place, value in zip(places, values, strict=True):
            found[place] = term.weight * value
        self._activity[f"term-{term.name}"] += [each or 0.0 for each in found]
        return found

    def _scores(self, name: str, responses: Sequence[ScoredResponse]) -> list[float]:
        """Return the scores of a model, and keep some verdicts of a judge in its own words."""
        scorer = self._scorers[name]
        if not isinstance(scorer, Judge):
            return scorer.score(responses)
        judgments = scorer.judge(responses)
        self.verdicts[name] = [judgment.text for judgment in judgments[:_KEPT_VERDICTS]]
        self.tokens += sum(judgment.num_tokens for judgment in judgments)
        return [judgment.score for judgment in judgments]

    def _combined(
        self, weighted: Mapping[str, list[float | None]], rollouts: Sequence[Rollout]
    ) -> list[float]:
        guard = self._settings.guard
        rewards = []
        for place, rollout in enumerate(rollouts):
            parts = {name: values[place] for name, values in weighted.items()}
            known = {name: part for name, part in parts.items() if part is not None}
            own = known.pop(guard.term, None) if guard is not None else None
            total = sum(known.values())
            if guard is not None and own is not None:
                weight = self._settings.term(guard.term).weight
                is_low = own / weight < guard.threshold
                alone = is_low or rollout.domain in guard.domains
                self._activity["guard"].append(float(alone))
                total = own if alone else total + (own if guard.rule is GuardRule.GATED else 0.0)
            rewards.append(_logit(total) if self._settings.logit else total)
        return rewards

    def _toggled(
        self,
        step: int,
        rollouts: Sequence[Rollout],
        rewards: Sequence[float],
        rates: Mapping[tuple[str, str], float],
    ) -> list[float]:
        """Take the reward of rollouts beyond their budget, in a phase that has one."""
        toggle = self._settings.toggle
        assert toggle is not None
        has_budget = (step - 1) // toggle.every % 2 == 0
        kept = []
        for rollout, reward in zip(rollouts, rewards, strict=True):
            budget = self._budgets[rollout.domain].get(rollout.prompt.id)
            is_solved = rates[rollout.domain, rollout.prompt.id] >= toggle.least_accuracy
            is_over = budget is not None and rollout.num_response_tokens > budget
            takes = has_budget and is_solved and is_over
            self._activity["toggle"].append(float(takes))
            kept.append(0.0 if takes else reward)
        self._set_budgets(rollouts, toggle.quantile)
        return kept

    def _set_budgets(self, rollouts: Sequence[Rollout], quantile: float) -> None:
        """Fix the budget of every prompt that has correct responses for the first time."""
        lengths: dict[tuple[str, str], list[int]] = defaultdict(list)
        for rollout in rollouts:
            if rollout.grade.score >= SOLVED:
                lengths[rollout.domain, rollout.prompt.id].append(rollout.num_response_tokens)
        for (domain, prompt), found in lengths.items():
            place = math.ceil(quantile * len(found)) - 1
            self._budgets[domain].setdefault(prompt, sorted(found)[place])


def pass_rates(rollouts: Sequence[Rollout]) -> dict[tuple[str, str], float]:
    """Return the mean grade of each group."""
    grades: dict[tuple[str, str], list[float]] = defaultdict(list)
    for rollout in rollouts:
        grades[rollout.domain, rollout.prompt.id].append(rollout.grade.score)
    return {group: fmean(found) for group, found in grades.items()}


def term_value(
    term: GradeTerm | LengthTerm | LanguageTerm | FormatTerm | ModeTerm,
    rollout: Rollout,
    pass_rate: float,
) -> float:
    """Return what a term that needs no model is worth for a rollout."""
    if isinstance(term, GradeTerm):
        return rollout.grade.score
    if isinstance(term, ModeTerm):
        return float(obeys_mode(rollout.prompt.mode, rollout.turns) is not False)
    said = [turn.content for turn in rollout.turns if turn.role == "assistant"]
    if isinstance(term, LengthTerm):
        return -_length_cost(term, rollout.num_response_tokens, len(said), pass_rate)
    if isinstance(term, FormatTerm):
        last = said[-1] if said else ""
        return float(re.fullmatch(term.pattern, last, re.DOTALL) is not None)
    words = " ".join(said).split()
    others = sum(re.fullmatch(term.word, word) is None for word in words)
    if term.form is LanguageForm.COUNT:
        return max(0.0, 1 - term.alpha * others)
    return 1 - others / len(words) if words else 0.0


def _length_cost(term: LengthTerm, tokens: int, turns: int, pass_rate: float) -> float:
    share = (tokens + term.turn_tokens * turns) / term.most_tokens
    match term.form:
        case LengthForm.LINEAR:
            return share
        case LengthForm.PASS_RATE:
            return pass_rate * share
        case LengthForm.CONCAVE:
            grown = (1 + term.k * share) ** (1 - term.q) - 1
            return float(grown / (term.k * (1 - term.q)))


def _sigmoid(score: float) -> float:
    if score >= 0:
        return 1 / (1 + math.exp(-score))
    return math.exp(score) / (1 + math.exp(score))


def _logit(probability: float) -> float:
    inside = min(1 - _LEAST_PROBABILITY, max(_LEAST_PROBABILITY, probability))
    return math.log(inside / (1 - inside))


def _whitened(rewards: Sequence[float]) -> list[float]:
    """Return rewards with mean 0 and deviation 1; equal rewards become 0."""
    mean, deviation = fmean(rewards), pstdev(rewards)
    return [(reward - mean) / deviation if deviation > 0 else 0.0 for reward in rewards]
