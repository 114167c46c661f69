"""Preference pairs: what each rule compares, by hand."""

import pytest
from pydantic import ValidationError

from tasks.rejection_sampling.pairs import Pairing, PairRule, StrengthCuts, select_pairs
from tasks.rejection_sampling.pools import Readability
from tasks.rollout.responses import Strength
from tests.support.refused import refused
from tests.support.sampled import response

POOL = [
    response("a1", "a", grade=0.5, num_tokens=10),
    response("a2", "a", grade=0.9, num_tokens=2),
    response("a3", "a", grade=0.0, num_tokens=3),
    response("b1", "b", grade=0.3),
    response("b2", "b", grade=0.3),
    response("c1", "c", grade=1.0),
]


def selected(pool=POOL, seed=0, **rule):
    return select_pairs(pool, PairRule(**rule), seed)


def compared(pool=POOL, **rule):
    """Return (chosen, rejected) of each pair."""
    made = selected(pool, **rule)
    return [(pair.chosen[-1].content, pair.rejected[-1].content) for pair in made.pairs]


def test_best_and_worst_of_a_prompt_are_a_pair_and_ties_are_dropped():
    made = selected()
    [pair] = made.pairs
    assert (pair.chosen, pair.rejected) == (POOL[1].turns, POOL[2].turns)
    assert (pair.domain, pair.prompt, pair.messages) == ("math", "a", POOL[0].prompt.messages)
    assert (pair.strength, pair.source) == (Strength.BETTER, "grade")
    assert made.counts == {
        "ties": 1,
        "gap_too_small": 0,
        "unreadable": 0,
        "lengths_apart": 0,
        "selected": 1,
        "prompts_without_pair": 1,
    }


def test_all_pairs_of_a_prompt_are_oriented_by_the_score():
    assert compared(pairing=Pairing.ALL) == [("a2", "a1"), ("a2", "a3"), ("a1", "a3")]
    assert compared(pairing=Pairing.ALL, min_gap=0.5) == [("a2", "a3"), ("a1", "a3")]


def test_random_pairs_are_repeatable_and_different():
    drawn = [compared(pairing=Pairing.RANDOM, seed=seed) for seed in range(40)]
    assert {pair for [pair] in drawn} == {("a2", "a1"), ("a2", "a3"), ("a1", "a3")}
    assert compared(pairing=Pairing.RANDOM, seed=7) == drawn[7]
    assert len(compared(pairing=Pairing.RANDOM, count=2)) == 2


def test_a_negative_score_is_as_good_as_any():
    pool = [response("x", scores={"rm": -3.0}), response("y", scores={"rm": -1.0})]
    made = selected(pool, scorer="rm")
    assert made.pairs[0].chosen == pool[1].turns
    assert (made.pairs[0].strength, made.pairs[0].source) == (Strength.SIGNIFICANTLY, "rm")


def test_limits_hold_for_the_chosen_response_alone():
    assert compared(pairing=Pairing.ALL, max_length_gap=7) == [("a2", "a3"), ("a1", "a3")]
    assert compared(pairing=Pairing.ALL, readable=Readability(max_tokens=3)) == [
        ("a2", "a1"), ("a2", "a3"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("gap", "strength"),
    [
        (0.0, Strength.TIE), (0.1, Strength.NEGLIGIBLY), (0.25, Strength.SLIGHTLY),
        (0.5, Strength.BETTER), (0.99, Strength.BETTER), (1.0, Strength.SIGNIFICANTLY),
    ],
)  # fmt: skip
def test_a_strength_begins_at_its_cut_point(gap, strength):
    assert StrengthCuts().strength(gap) is strength


def test_delta_pairs_prefer_the_strong_sampler_whatever_the_scores():
    pool = [
        response("s1", "a", sampler="strong", grade=0.0),
        response("w1", "a", sampler="weak", grade=1.0, truncated=True),
        response("o1", "a", sampler="other"),
        response("s2", "b", sampler="strong", truncated=True),
        response("w2", "b", sampler="weak"),
        response("s3", "c", sampler="strong"),
    ]
    rule = {"pairing": Pairing.DELTA, "strong": "strong", "weak": "weak", "scorer": "no such"}
    made = selected(pool, **rule)
    [pair] = made.pairs
    assert (pair.chosen, pair.rejected) == (pool[0].turns, pool[1].turns)
    assert (pair.strength, pair.source) == (Strength.BETTER, "strong over weak")
    assert (made.counts["unreadable"], made.counts["prompts_without_pair"]) == (1, 1)
    twice = [*pool[:2], response("s9", "a", sampler="strong"), response("w9", "a", sampler="weak")]
    pairs = compared(twice, **rule, count=5)
    assert len(pairs) == 2
    assert {chosen for chosen, _ in pairs} == {"s1", "s9"}
    assert {rejected for _, rejected in pairs} == {"w1", "w9"}


def test_delta_pairs_of_equal_words_are_ties():
    pool = [
        response("yes", "a", sampler="strong"),
        response("yes", "a", sampler="weak"),
        response("yes", "b", sampler="strong"),
        response("no", "b", sampler="weak"),
    ]
    made = select_pairs(pool, PairRule(pairing=Pairing.DELTA, strong="strong", weak="weak"), 0)
    assert (made.counts["ties"], made.counts["selected"]) == (1, 1)


def test_responses_in_two_modes_are_not_compared():
    pool = [response("x", mode="on", grade=0.0), response("y", mode="off", grade=1.0)]
    with refused("too-few-responses"):
        selected(pool)


def test_what_gives_no_pair_is_refused():
    one_each = [response("x", "a"), response("y", "b")]
    delta = {"pairing": Pairing.DELTA, "strong": "one", "weak": "two"}
    for code, pool, rule in (
        ("no-responses", [], {}),
        ("unknown-scorer", POOL, {"scorer": "rm"}),
        ("missing-scores", [*POOL, response(scores={"rm": 1.0})], {}),
        ("too-few-responses", one_each, {}),
        ("only-ties", POOL[3:5], {}),
        ("nothing-left", POOL, {"min_gap": 0.95}),
        ("unknown-sampler", POOL, delta),
        ("too-few-responses", [*one_each[:1], response("z", "b", sampler="two")], delta),
    ):
        with refused(code):
            selected(pool, **rule)


def test_settings_that_cannot_work_are_rejected():
    for wrong in ({"pairing": Pairing.DELTA, "strong": "a"}, {"cuts": {"slightly": 2.0}}):
        with pytest.raises(ValidationError):
            PairRule(**wrong)
    with pytest.raises(ValidationError):
        PairRule(pairing=Pairing.DELTA, strong="a", weak="a")
