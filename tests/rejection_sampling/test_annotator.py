"""The simulated annotator: noise of a known size over a known truth."""

import math
from collections import Counter

import pytest

from tasks.rejection_sampling.annotator import AnnotatorSettings, annotate
from tasks.rollout.responses import Strength
from tests.support.refused import refused
from tests.support.sampled import response

MANY = 2000


def prompts(*scores, count=MANY):
    """Return responses with these scores to each of many prompts."""
    return [
        response(f"{place}", f"p{number}", scores={"gold": score})
        for number in range(count)
        for place, score in enumerate(scores)
    ]


def annotated(responses, seed=0, **settings):
    return annotate(responses, AnnotatorSettings(scorer="gold", **settings), seed)


def share_of_first(made):
    """Return how often the response "0" was chosen."""
    return sum(pair.chosen[-1].content == "0" for pair in made.pairs) / len(made.pairs)


def error(rate):
    """Return four standard errors of a share over many pairs."""
    return 4 * math.sqrt(rate * (1 - rate) / MANY)


@pytest.mark.parametrize(("gap", "temperature"), [(0.5, 0.25), (0.5, 1.0), (0.0, 0.25)])
def test_a_response_wins_with_the_probability_of_bradley_and_terry(gap, temperature):
    expected = 1 / (1 + math.exp(-gap / temperature))
    made = annotated(prompts(0.2 + gap, 0.2), temperature=temperature)
    assert share_of_first(made) == pytest.approx(expected, abs=error(expected))
    if gap:
        assert made.counts["wrong"] == round((1 - share_of_first(made)) * MANY)


def test_a_share_of_the_labels_is_flipped():
    made = annotated(prompts(1.0, 0.0), temperature=0.0, flip_rate=0.2)
    assert made.counts["flipped"] / MANY == pytest.approx(0.2, abs=error(0.2))
    assert made.counts["wrong"] == made.counts["flipped"]


def test_equal_words_are_a_tie_whatever_the_noise():
    alike = [response("yes", "p", scores={"gold": 0.2}, sampler=name) for name in "ab"]
    other = response("no", "p", scores={"gold": 0.2}, sampler="c")
    made = annotated([*alike, other], temperature=1.0, ranking_size=3)
    assert (made.counts["ties"], made.counts["selected"]) == (1, 2)


def test_without_noise_the_gold_score_decides_and_ties_are_dropped():
    made = annotated(prompts(0.3, 0.1, 0.3, count=5), temperature=0.0, ranking_size=3)
    assert share_of_first(made) == 0.5
    assert made.counts == {
        "selected": 10,
        "ties": 5,
        "flipped": 0,
        "wrong": 0,
        "equal": 0,
        "prompts_without_pair": 0,
    }
    assert {pair.strength for pair in made.pairs} == {Strength.NEGLIGIBLY}
    assert {pair.source for pair in made.pairs} == {"annotator of gold"}


def test_a_small_perceived_difference_is_a_tie_and_equal_responses_are_counted():
    pool = prompts(0.3, 0.1, 0.3, count=5)
    sure = {"temperature": 0.0, "ranking_size": 3}
    assert annotated(pool, **sure, indifference=0.15).counts["selected"] == 10
    with refused("only-ties"):
        annotated(pool, **sure, indifference=0.25)
    coin = annotated(prompts(1.0, 1.0), temperature=0.1)
    assert coin.counts["equal"] == coin.counts["selected"] == MANY
    careful = annotated(prompts(1.0, 1.0), temperature=0.1, indifference=0.3)
    # P(|logistic| > 3) = 2 / (1 + e^3)
    expected = 2 / (1 + math.exp(3))
    assert careful.counts["selected"] / MANY == pytest.approx(expected, abs=error(expected))


def test_a_ranking_of_k_gives_all_pairs_of_its_prompt_and_never_a_circle():
    made = annotated(prompts(0.1, 0.2, 0.3, 0.4, 0.5, count=30), temperature=1.0, ranking_size=5)
    assert Counter(pair.prompt for pair in made.pairs) == {f"p{n}": 10 for n in range(30)}
    for number in range(30):
        wins = Counter(p.chosen[-1].content for p in made.pairs if p.prompt == f"p{number}")
        assert sorted(wins[str(place)] for place in range(5)) == [0, 1, 2, 3, 4]


def test_the_top_of_a_ranking_has_the_probability_of_plackett_and_luce():
    count = 6000
    made = annotated(prompts(0.5, 0.25, 0.0, count=count), temperature=0.25, ranking_size=3)
    wins = Counter(pair.prompt for pair in made.pairs if pair.chosen[-1].content == "0")
    expected = math.exp(2) / (math.exp(2) + math.exp(1) + 1)
    share = sum(number == 2 for number in wins.values()) / count
    assert share == pytest.approx(expected, abs=4 * math.sqrt(0.665 * 0.335 / count))


def test_only_responses_of_different_samplers_are_compared_if_that_is_set():
    pool = [
        response(f"{sampler}{n}", f"p{prompt}", sampler=sampler, scores={"gold": n / 10})
        for prompt in range(20)
        for sampler, count in (("a", 2), ("b", 3))
        for n in range(count)
    ]
    made = annotated(pool, across_samplers=True)
    sides = {frozenset((p.chosen[-1].content[0], p.rejected[-1].content[0])) for p in made.pairs}
    assert sides == {frozenset("ab")}
    assert len(made.pairs) == 20 * 2  # two of a, each against one of three of b
    assert len(annotated(pool, across_samplers=True, ranking_size=5).pairs) == 20 * 2 * 3
    with refused("too-few-responses"):
        annotated(prompts(0.1, 0.2, count=3), across_samplers=True)


def test_responses_are_dealt_into_rankings_of_which_the_last_may_be_short():
    five = prompts(0.1, 0.2, 0.3, 0.4, 0.5, count=3)
    for size, num_pairs in ((2, 2), (3, 3 + 1), (4, 6)):
        made = annotated(five, ranking_size=size)
        assert len(made.pairs) == 3 * num_pairs


def test_strength_is_of_the_perceived_difference():
    for gap, strength in ((0.1, Strength.NEGLIGIBLY), (0.3, Strength.SLIGHTLY),
                          (0.6, Strength.BETTER), (1.5, Strength.SIGNIFICANTLY)):  # fmt: skip
        [pair] = annotated(prompts(gap, 0.0, count=1), temperature=0.0).pairs
        assert pair.strength is strength
    noisy = annotated(prompts(0.3, 0.0), temperature=0.3).pairs
    right = {
        strength: [pair.chosen[-1].content == "0" for pair in noisy if pair.strength is strength]
        for strength in Strength
    }
    rates = [sum(right[s]) / len(right[s]) for s in (Strength.SIGNIFICANTLY, Strength.NEGLIGIBLY)]
    assert rates[0] > rates[1] + 0.2, "what is seen clearly is right more often"


def test_the_seed_decides_and_no_other_prompt_does():
    pool = prompts(0.3, 0.2, count=40)
    first, again, other = (annotated(pool, seed).pairs for seed in (0, 0, 1))
    assert first == again != other
    assert annotated(pool[:20]).pairs == first[:10]


def test_what_cannot_be_compared_is_refused():
    for code, pool, settings in (
        ("no-responses", [], {}),
        ("unknown-scorer", [response()], {}),
        ("too-few-responses", prompts(0.1, count=3), {}),
        ("only-ties", prompts(0.1, 0.1, count=3), {"temperature": 0.0}),
    ):
        with refused(code):
            annotated(pool, **settings)
