"""Comparisons by prompt: each response once; ties, strengths and held-out prompts."""

import pytest

from tasks.model.chat import ChatTokens
from tasks.reward_model.groups import ComparedPair, groups_of, split
from tasks.reward_model.held_out import pair_accuracy
from tasks.rollout.responses import Strength
from tasks.statistics import wilson
from tasks.supervised.comparisons import decided
from tests.support.preferences import pair
from tests.support.refused import refused
from tests.support.tiny_models import tokenizer

CHAT = ChatTokens(tokenizer())
LEAST = Strength.NEGLIGIBLY


def test_all_comparisons_of_a_prompt_are_one_group_with_each_response_once():
    ranked = [pair("a", "b"), pair("b", "c"), pair("a", "c"), pair("d", "a", prompt="1+1")]
    first, second = groups_of(ranked, CHAT)
    assert [CHAT.decode(row.ids[-2:]) for row in first.responses] == ["a", "b", "c"]
    places = [(compared.chosen, compared.rejected) for compared in first.pairs]
    assert places == [(0, 1), (1, 2), (0, 2)]
    assert second.pairs == [ComparedPair(0, 1, Strength.BETTER)]
    assert len(groups_of([pair(), pair(domain="safe"), pair(mode="")], CHAT)) == 2


def test_ties_are_left_out_and_nothing_but_ties_is_refused():
    tie = pair(strength=Strength.TIE)
    assert decided([tie, pair()]) == [pair()]
    with refused("only-ties"):
        decided([tie])
    with refused("only-ties"):
        decided([])


def test_equal_responses_are_refused():
    with refused("same-response", "12+34"):
        groups_of([pair("46", "46")], CHAT)


def test_a_prompt_is_held_out_with_all_of_its_comparisons_whatever_else_is_there():
    pairs = [pair(prompt=f"{n}+1", rejected=str(k)) for n in range(200) for k in range(2)]
    kept, held = split(pairs, 0.25, LEAST)
    prompts = [{each.prompt for each in part} for part in (kept, held)]
    assert prompts[0].isdisjoint(prompts[1])
    assert len(kept) + len(held) == 400
    assert 30 < len(prompts[1]) < 70  # 50 of 200 within three standard deviations
    assert {p.prompt for p in split(pairs[:100], 0.25, LEAST)[1]} == prompts[1] & {
        f"{n}+1" for n in range(50)
    }
    assert split(pairs, 0.0, LEAST) == (pairs, [])


def test_weak_comparisons_are_not_trained_on_but_measured():
    pairs = [pair(prompt=f"{n}+1", strength=s) for n in range(80) for s in list(Strength)[:4]]
    kept, held = split(pairs, 0.25, Strength.BETTER)
    assert {each.strength for each in kept} == {Strength.SIGNIFICANTLY, Strength.BETTER}
    assert {each.strength for each in held} == set(Strength) - {Strength.TIE}


@pytest.mark.parametrize(
    ("share", "least", "code"),
    [
        (0.999999, LEAST, "no-comparison"),
        (1e-9, LEAST, "no-held-out-comparison"),
        (0.0, Strength.SIGNIFICANTLY, "no-comparison"),
    ],
)
def test_an_empty_side_is_refused(share, least, code):
    with refused(code):
        split([pair()], share, least)


def test_accuracy_is_counted_overall_and_by_strength_with_wilsons_interval():
    weak = Strength.SLIGHTLY
    groups = groups_of([pair("a", "b"), pair("b", "c"), pair("x", "y", "1+1", strength=weak)], CHAT)
    # a > b is right, b = c counts as wrong; x > y is right.
    found = pair_accuracy(groups, [2.0, 1.0, 1.0, 5.0, 4.0])
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["accuracy_better"] == 0.5
    assert found["accuracy_slightly"] == 1.0
    assert found["accuracy_pairs"] == 3
    interval = wilson(2, 3)
    assert (found["accuracy_low"], found["accuracy_high"]) == (interval.low, interval.high)
    assert "accuracy_significantly" not in found
