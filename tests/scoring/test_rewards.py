"""Rewards of several terms, by hand: values, schedules, guards, budgets."""

import math
from dataclasses import replace

import pytest

from tasks.rollout.environment import Turn
from tasks.scoring.rewards import Rewards, term_value
from tasks.scoring.terms import FormatTerm, LanguageTerm, LengthTerm, ModeTerm, RewardSettings
from tests.support.refused import invalid
from tests.support.tiny_models import rollout


def said(*turns, score=1.0, tokens=4, domain="math", prompt="p"):
    """Return a rollout in which the model said these turns, in so many tokens."""
    made = rollout(
        range(tokens + 1), range(1, tokens + 1), score=score, domain=domain, prompt=prompt
    )
    return replace(made, turns=tuple(Turn("assistant", words) for words in turns))


class Fixed:
    """Scores responses by a number for each thing that the model said last."""

    def __init__(self, **scores):
        self.scores = scores

    def score(self, responses):
        return [self.scores[response.turns[-1].content] for response in responses]


GRADE = {"kind": "grade", "name": "grade"}


def rewards_of(*terms, scorers=None, **more):
    return Rewards(RewardSettings(terms=list(terms), **more), scorers or {})


def scorer(name, **more):
    return {"kind": "scorer", "name": name} | more


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        # 4 tokens and 2 turns of 3 are 10 of 20; half of the group is solved.
        ({"form": "linear"}, -0.5),
        ({"form": "pass_rate"}, -0.25),
        # ((1 + 2 / 2)^(1/2) - 1) / (2 / 2) = 2^(1/2) - 1
        ({"form": "concave", "k": 2.0, "q": 0.5}, -(2**0.5 - 1)),
    ],
)
def test_a_length_costs_by_its_form(form, expected):
    term = LengthTerm(name="length", most_tokens=20, turn_tokens=3, **form)
    assert term_value(term, said("a", "b"), pass_rate=0.5) == pytest.approx(expected)


def test_language_is_the_share_of_words_or_a_cost_of_others():
    share = LanguageTerm(name="language", word="[a-z]+")
    count = LanguageTerm(name="language", word="[a-z]+", form="count", alpha=0.3)
    assert term_value(share, said("two WORDS", "and ONE"), 0.0) == 0.5
    assert term_value(count, said("two WORDS", "and ONE"), 0.0) == pytest.approx(0.4)
    assert term_value(count, said("A B C D E"), 0.0) == 0.0
    assert term_value(share, said(""), 0.0) == 0.0


def test_format_is_of_the_whole_last_turn():
    term = FormatTerm(name="format", pattern="<think>.*</think>.+")
    assert term_value(term, said("<think>a\nb</think>c"), 0.0) == 1.0
    assert term_value(term, said("<think>a</think>c", "c"), 0.0) == 0.0


def test_terms_are_weighed_and_summed_where_and_when_they_count():
    late = scorer("helpful", weight=0.5, from_step=2, domains=["math"])
    rewards = rewards_of(GRADE | {"weight": 10.0}, late, scorers={"helpful": Fixed(a=4.0)})
    math_one, code_one = said("a"), said("a", domain="code", score=0.0)
    assert rewards(1, [math_one, code_one]) == [10.0, 0.0]
    assert rewards.activity() == {"term-grade": 5.0, "term-helpful": 0.0}
    assert rewards(2, [math_one, code_one]) == [12.0, 0.0]
    assert rewards.activity() == {"term-grade": 5.0, "term-helpful": 1.0}


def test_a_term_ends_with_its_last_step():
    rewards = rewards_of(GRADE | {"to_step": 2}, {"kind": "format", "name": "f", "pattern": "b"})
    assert [rewards(step, [said("a")]) for step in (2, 3)] == [[1.0], [0.0]]


TWO = {"helpful": Fixed(a=0.9, b=0.9, c=0.9), "safe": Fixed(a=0.1, b=0.2, c=0.5)}


def guarded(**guard):
    return rewards_of(
        *(scorer("helpful"), scorer("safe")), guard={"term": "safe"} | guard, scorers=TWO
    )


def test_a_guard_below_its_threshold_replaces_the_others():
    # Llama 2 section 3.2.3: below 0.15, and in the prompts of safety whatever the score.
    rewards = guarded(rule="piecewise", domains=["harm"])
    found = rewards(1, [said("a"), said("b"), said("c", domain="harm")])
    assert found == pytest.approx([0.1, 0.9, 0.5])
    assert rewards.activity()["guard"] == pytest.approx(2 / 3)


def test_behind_a_gate_the_others_count_only_from_the_threshold_on():
    rewards = guarded(rule="gated", threshold=0.2)
    assert rewards(1, [said("a"), said("b"), said("c")]) == pytest.approx([0.1, 1.1, 1.4])


def test_a_squashed_score_is_a_probability_and_its_logit_the_score_again():
    term = scorer("helpful", squash=True)
    scores = {"helpful": Fixed(a=2.0, b=-3.0, c=0.0)}
    rollouts = [said("a"), said("b"), said("c")]
    squashed = rewards_of(term, scorers=scores)(1, rollouts)
    assert squashed == pytest.approx([1 / (1 + math.exp(-s)) for s in (2.0, -3.0, 0.0)])
    assert rewards_of(term, logit=True, scorers=scores)(1, rollouts) == pytest.approx([2, -3, 0])


def test_whitened_rewards_have_mean_zero_and_deviation_one():
    rewards = rewards_of(scorer("s"), whiten=True, scorers={"s": Fixed(a=1.0, b=5.0)})
    assert rewards(1, [said("a"), said("b")]) == pytest.approx([-1.0, 1.0])
    assert rewards(1, [said("a"), said("a")]) == [0.0, 0.0]


def lengths_and_scores(*pairs):
    return [said("a", tokens=tokens, score=score) for tokens, score in pairs]


def test_a_budget_is_fixed_at_the_first_correct_responses_and_holds_in_its_phases():
    toggle = {"every": 2, "quantile": 0.5, "least_accuracy": 0.5}
    rewards = rewards_of(GRADE, toggle=toggle)
    # Lengths of correct responses 2, 4 and 6: the median is 4, and stays it.
    assert rewards(1, lengths_and_scores((2, 1), (4, 1), (6, 1), (9, 0))) == [1, 1, 1, 0]
    assert rewards(2, lengths_and_scores((4, 1), (6, 1))) == [1, 0], "6 is over the budget"
    assert rewards(3, lengths_and_scores((4, 1), (6, 1))) == [1, 1], "a phase without a budget"
    rewards.activity()
    assert rewards(5, lengths_and_scores((6, 1), (6, 1), (6, 0), (6, 0))) == [0, 0, 0, 0]
    assert rewards.activity()["toggle"] == 1.0
    assert rewards(5, lengths_and_scores((6, 1), (6, 0), (6, 0))) == [1, 0, 0], "seldom solved"
    again = rewards_of(GRADE, toggle=toggle)
    again.load_state(rewards.state())
    assert again(2, lengths_and_scores((4, 1), (6, 1))) == [1, 0]


@pytest.mark.parametrize(
    ("code", "name", "wrong"),
    [
        ("repeated-name", "grade", {"terms": [GRADE, GRADE]}),
        ("bad-pattern", "'f'", {"terms": [{"kind": "format", "name": "f", "pattern": "("}]}),
        ("never-counts", "3 ", {"terms": [GRADE | {"from_step": 3, "to_step": 2}]}),
        (
            "unknown-term",
            "'grade'",
            {"terms": [GRADE], "guard": {"rule": "gated", "term": "grade"}},
        ),
        (
            "unknown-term",
            "'t'",
            {"terms": [GRADE, scorer("s")], "guard": {"rule": "gated", "term": "t"}},
        ),
        (
            "domains-of-gated-guard",
            "",
            {
                "terms": [GRADE, scorer("s")],
                "guard": {"rule": "gated", "term": "s", "domains": ["harm"]},
            },
        ),
        ("no-probability", "grade", {"terms": [GRADE], "logit": True}),
        ("no-probability", "'s'", {"terms": [scorer("s")], "logit": True}),
        (
            "no-probability",
            "",
            {"terms": [scorer("s", squash=True), scorer("t", squash=True)], "logit": True},
        ),
        ("greater_than", "weight", {"terms": [GRADE | {"weight": 0.0}]}),
    ],
)
def test_rewards_that_cannot_work_are_refused(code, name, wrong):
    with invalid(code, name):
        RewardSettings(**wrong)


@pytest.mark.parametrize(
    ("mode", "words", "value"),
    [("on", "<think>3</think>3", 1.0), ("on", "3", 0.0), ("off", "3", 1.0), ("", "3", 1.0)],
)
def test_a_mode_is_kept_by_thinking_just_where_it_says_so(mode, words, value):
    asked = said(words)
    asked = replace(asked, prompt=replace(asked.prompt, mode=mode))
    assert term_value(ModeTerm(name="mode"), asked, pass_rate=0.5) == value
