"""Demonstrations: what each rule keeps, by hand."""

import pytest

from tasks.rejection_sampling.demonstrations import (
    DemonstrationRule,
    Keep,
    select_demonstrations,
)
from tasks.rejection_sampling.pools import Readability, repetition
from tests.support.refused import refused
from tests.support.sampled import response, texts

POOL = [
    response("a1", "a", grade=0.2),
    response("a2", "a", grade=0.9),
    response("a3", "a", grade=0.9),
    response("a4", "a", grade=1.0),
    response("b1", "b", grade=1.0),
    response("b2", "b", grade=0.1),
]


def selected(*rounds, seed=0, **rule):
    return select_demonstrations(rounds or [POOL], DemonstrationRule(**rule), seed)


def kept(*rounds, **rule):
    return texts(selected(*rounds, **rule).responses)


def test_best_of_k_keeps_the_best_of_each_prompt():
    assert kept() == ["a4", "b1"]
    assert kept(count=2) == ["a2", "a4", "b1", "b2"]  # of two equal ones the first
    assert kept(count=9) == texts(POOL)


def test_another_scorer_decides_if_it_is_named():
    pool = [
        response("x", scores={"grade": 1.0, "rm": -2.0}),
        response("y", scores={"grade": 0.0, "rm": -1.0}),
    ]
    assert kept(pool) == ["x"]
    assert kept(pool, scorer="rm") == ["y"]


def test_correct_keeps_every_response_from_the_least_score():
    assert kept(keep=Keep.CORRECT) == ["a4", "b1"]
    assert kept(keep=Keep.CORRECT, least_score=0.9) == ["a2", "a3", "a4", "b1"]


def test_random_of_k_does_not_look_at_the_score():
    drawn = [kept(keep=Keep.RANDOM, seed=seed) for seed in range(60)]
    assert {a for a, _ in drawn} == {"a1", "a2", "a3", "a4"}
    assert {b for _, b in drawn} == {"b1", "b2"}
    assert kept(keep=Keep.RANDOM, seed=3) == drawn[3]
    assert len(kept(keep=Keep.RANDOM, count=3)) == 5


def test_the_top_quartile_is_of_each_domain():
    # math: 6 responses, the second best of the scores 1, 1, .9, .9, .2, .1 is 1.0.
    assert kept(keep=Keep.QUARTILE) == ["a4", "b1"]
    # code: 5 responses, the second best is 0.3; both that have it are kept.
    code = [
        response(f"c{n}", f"c{n}", domain="code", grade=grade)
        for n, grade in enumerate((0.3, 0.1, 0.4, 0.3, 0.2))
    ]
    assert kept([*POOL, *code], keep=Keep.QUARTILE) == ["a4", "b1", "c0", "c2", "c3"]


def test_a_quota_per_prompt_keeps_the_best():
    assert kept(keep=Keep.CORRECT, least_score=0.0, per_prompt=1) == ["a4", "b1"]
    assert kept(keep=Keep.CORRECT, least_score=0.0, per_prompt=3) == ["a2", "a3", "a4", "b1", "b2"]


def test_a_quota_per_domain_takes_one_of_every_prompt_before_a_second_one():
    everything = {"keep": Keep.CORRECT, "least_score": 0.0}
    assert kept(**everything, per_domain=2) == ["a4", "b1"]
    three = {tuple(kept(**everything, per_domain=3, seed=seed)) for seed in range(9)}
    assert three == {("a2", "a4", "b1"), ("a4", "b1", "b2")}
    code = [response("c1", "c", domain="code")]
    assert kept([*POOL, *code], **everything, per_domain=1)[-1] == "c1"
    assert len(kept([*POOL, *code], **everything, per_domain=1)) == 2


def test_unreadable_responses_are_dropped_before_the_best_is_chosen():
    long = response("best but long", "a", grade=2.0, num_tokens=9)
    cut = response("best but cut", "a", grade=3.0, truncated=True)
    words = "so it is so it is so it is so it is"
    again = response(words, "a", grade=4.0)
    pool = [*POOL, long, cut, again]
    readable = Readability(max_tokens=8, max_repetition=0.5)
    assert kept(pool, readable=readable) == ["a4", "b1"]
    assert (
        kept(pool, readable=readable.model_copy(update={"max_tokens": 9}))[-1]
        == long.turns[0].content
    )
    open_ = Readability(drop_truncated=False)
    assert kept([*POOL, cut], readable=open_)[-1] == "best but cut"
    assert selected(pool, readable=readable).counts["unreadable"] == 3


def test_a_least_score_by_another_scorer_is_a_filter():
    pool = [
        response("x", scores={"grade": 1.0, "language": 0.5}),
        response("y", scores={"grade": 0.5, "language": 1.0}),
    ]
    assert kept(pool, readable=Readability(least_scores={"language": 0.9})) == ["y"]


def test_repetition_is_the_share_of_runs_that_occurred_before():
    assert repetition("one two three four") == 0.0  # one run
    assert repetition("a a a a a") == 0.5  # two runs, one kind
    # 12 words give 9 runs of 3 kinds: so-it-is-so, it-is-so-it, is-so-it-is.
    assert repetition("so it is " * 4) == pytest.approx(6 / 9)
    assert repetition("") == 0.0


def test_copies_of_one_response_count_once_and_the_best_is_kept():
    pool = [
        response("same words", "a", grade=0.5),
        response("same  words", "a", grade=0.7),
        response("same words", "b", grade=0.1),
    ]
    everything = {"keep": Keep.CORRECT, "least_score": 0.0}
    assert kept(pool, **everything) == ["same  words", "same words"]
    assert selected(pool, **everything).counts["duplicates"] == 1
    modes = [response("same", "a"), response("same", "a", mode="off")]
    assert len(kept(modes, **everything)) == 2


def test_each_round_keeps_its_own_best_or_all_compete():
    earlier = [response("old a", "a", grade=5.0), response("old c", "c", grade=0.3)]
    assert kept(earlier, POOL) == ["old a", "old c", "b1"]
    assert kept(earlier, POOL, each_round=True) == ["old a", "old c", "a4", "b1"]


def test_counts_add_up_and_rows_are_worked_examples():
    made = selected(keep=Keep.CORRECT, least_score=0.5, per_prompt=2)
    assert made.counts == {
        "given": 6,
        "unreadable": 0,
        "not_kept": 2,
        "over_quota": 1,
        "duplicates": 0,
        "selected": 3,
    }
    first = made.rows[0]
    assert (first.messages, first.turns, first.mode) == (POOL[1].prompt.messages, POOL[1].turns, "")


def test_a_selection_without_a_result_is_refused():
    for code, pool, rule in (
        ("no-responses", [], {}),
        ("unknown-scorer", POOL, {"scorer": "rm"}),
        ("unknown-scorer", POOL, {"readable": Readability(least_scores={"rm": 0.0})}),
        ("missing-scores", [*POOL, response(scores={"rm": 1.0})], {}),
        ("nothing-left", POOL, {"keep": Keep.CORRECT, "least_score": 1.1}),
        ("nothing-left", POOL, {"readable": Readability(max_tokens=1)}),
    ):
        with refused(code):
            selected(pool, **rule)
