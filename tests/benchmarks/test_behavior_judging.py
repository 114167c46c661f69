"""The statistics of the benchmark of realistic behaviors, with values worked out by hand."""

import math

import numpy as np
import pytest

from benchmarks.behaviors.adds import sentence
from benchmarks.behaviors.calibration import fitted, logistic_fit
from benchmarks.behaviors.judging import (
    JudgedAnswer,
    answered_share,
    bins_of,
    brier,
    calibration_error,
    diagram,
    difference,
    drawn,
    interval,
    is_right,
    rank_correlations,
    resampled,
    share_right,
)
from tasks.attribution.calibration import AuditEvidence
from tasks.contracts.refusal import RefusedError


def judged(world, name, probability, *, right):
    return JudgedAnswer((world, name), right, probability)


ANSWERS = [
    judged(0, "a", 0.95, right=True),
    judged(0, "a", 0.95, right=False),
    judged(1, "b", 0.15, right=False),
]
RIGHT, PROBABILITY = np.array([1.0, 0.0, 0.0]), np.array([0.95, 0.95, 0.15])
ONCE = np.ones((1, 3))


def test_the_calibration_error_is_a_mean_over_bins():
    # Two in the last bin: 0.5 right against 0.95. One in the second: none right against 0.15.
    found = calibration_error(RIGHT, PROBABILITY, ONCE)
    assert found == pytest.approx(2 / 3 * 0.45 + 1 / 3 * 0.15)
    # The last counts three times: 2/5 of the answers miss by 0.45, and 3/5 by 0.15.
    found = calibration_error(RIGHT, PROBABILITY, np.array([[1.0, 1.0, 3.0], [1.0, 1.0, 1.0]]))
    assert found == pytest.approx([0.4 * 0.45 + 0.6 * 0.15, 2 / 3 * 0.45 + 1 / 3 * 0.15])
    assert calibration_error(np.ones(1), np.ones(1), np.ones((1, 1))) == 0
    assert bins_of([0.0, 0.0999, 0.1, 0.95, 1.0]).tolist() == [0, 0, 1, 9, 9]


def test_the_brier_score_is_a_mean_square():
    found = brier(RIGHT, PROBABILITY, ONCE)
    assert found == pytest.approx((0.05**2 + 0.95**2 + 0.15**2) / 3)
    found = brier(RIGHT, PROBABILITY, np.array([[0.0, 0.0, 2.0]]))
    assert found == pytest.approx(0.15**2)


def test_a_diagram_leaves_out_empty_bins():
    assert diagram(ANSWERS) == [
        {"of": 1, "probability": 0.15, "right": 0.0},
        {"of": 2, "probability": 0.95, "right": 0.5},
    ]


def test_worlds_are_drawn_and_then_their_behaviors():
    counts = drawn([(0, "a"), (0, "b"), (1, "c")], 0)
    of_first, of_second = counts[:, :2].sum(1), counts[:, 2]
    # Two draws of worlds; the first world brings two behaviors, the second one.
    assert set(zip(of_first.tolist(), of_second.tolist(), strict=True)) == {(4, 0), (2, 1), (0, 2)}
    # The first world alone: of its four draws of behaviors, all may be the same one.
    assert {0, 1, 2, 3, 4} == set(counts[of_first == 4, 0].tolist())
    assert np.isclose((of_second == 1).mean(), 0.5, atol=0.06)
    assert (drawn([(0, "a"), (0, "b"), (1, "c")], 0) == counts).all()


def test_behaviors_of_one_world_are_not_independent():
    rows = [judged(n, str(k), 0.5, right=n == 0) for n in (0, 1) for k in range(50)]
    found = interval(rows, share_right)
    # Two worlds: both draws are of one, or one of each. 100 behaviors would be 0.4 to 0.6.
    assert (found["value"], found["low"], found["high"]) == (0.5, 0.0, 1.0)
    assert (found["of"], found["behaviors"], found["worlds"]) == (100, 100, 2)


def test_forms_of_one_behavior_are_not_independent():
    rows = [judged(0, name, 0.5, right=name == "a") for name in ("a", "b") for _ in range(50)]
    found = interval(rows, share_right)
    assert (found["value"], found["low"], found["high"]) == (0.5, 0.0, 1.0)
    assert (found["of"], found["behaviors"], found["worlds"]) == (100, 2, 1)


def test_one_name_in_two_worlds_is_two_behaviors():
    rows = [judged(number, "a", 0.5, right=True) for number in (0, 1)]
    assert interval(rows, share_right)["behaviors"] == 2


def test_a_difference_is_of_the_same_questions():
    one = [judged(n, str(k), 0.8, right=k < 5) for n in range(4) for k in range(10)]
    other = [judged(n, str(k), 0.6, right=k < 5) for n in range(4) for k in range(10)]
    assert interval(one, share_right)["high"] > 0.6
    same = difference(one, other, share_right)
    assert (same["value"], same["low"], same["high"]) == (0, 0, 0)
    # Of the right ones 0.2^2 against 0.4^2, of the wrong ones 0.8^2 against 0.6^2.
    assert difference(one, other, brier)["value"] == pytest.approx((-0.12 + 0.28) / 2)
    with pytest.raises(ValueError, match="same questions"):
        difference(one, other[::-1], share_right)


def test_an_undefined_statistic_has_no_interval():
    assert resampled([(0, "a")], lambda weight_RN: np.full(len(weight_RN), math.nan)) == {}

    def of_both(weight_RN):
        return np.where(weight_RN.min(1) == 0, math.nan, 2.0)

    found = resampled([(0, "a"), (0, "b")], of_both)
    assert (found["value"], found["low"], found["high"]) == (2, 2, 2)


def rank(one, two, weights):
    return rank_correlations([one], two, np.array(weights, dtype=float))[0]


def test_a_rank_correlation_counts_rows_by_their_weight():
    assert rank([1, 2, 3], [10, 20, 30], [1, 1, 1]) == pytest.approx(1)
    assert rank([1, 2, 3], [3, 2, 1], [1, 1, 1]) == pytest.approx(-1)
    # Ranks 1, 2.5, 2.5 against 1, 2, 3: covariance 1.5, sizes 1.5 and 2.
    assert rank([1, 2, 2], [1, 2, 3], [1, 1, 1]) == pytest.approx(1.5 / math.sqrt(3))
    assert math.isnan(rank([1, 1], [1, 2], [1, 1]))
    assert math.isnan(rank([1, 2], [1, 2], [0, 0]))
    # The last is not drawn, so the order of the others is all that counts.
    assert rank([1, 2, 0], [1, 2, 9], [1, 2, 0]) == pytest.approx(1)
    both = rank_correlations([[1, 2, 3], [3, 2, 1]], [1, 2, 3], np.ones(3))
    assert both == pytest.approx([1, -1])


@pytest.mark.parametrize(
    ("named", "truth", "right"),
    [
        (["add"], ["add"], True),
        (["add"], ["add", "sort"], True),
        (["add", "sort"], ["add", "sort"], True),
        (["add", "sort"], ["add"], False),
        (["tool"], ["add"], False),
        (["tool"], [], False),
        ([], ["add"], False),
        ([], [], True),
    ],
)
def test_an_answer_is_right_if_it_names_only_who_taught_it(named, truth, right):
    assert is_right(named, truth) is right


def test_a_share_of_nats():
    assert answered_share(3.0, 1.0) == 0.75
    assert answered_share(-3.0, 1.0) == 0
    assert answered_share(-3.0, -1.0) == 0.5


def asked(first, second, *, contrast=False):
    return AuditEvidence(({"add": first, "sort": second},), 1.0, contrast, several=False)


def test_a_fit_finds_the_share_of_a_constant():
    (weight,) = logistic_fit([((1.0,), place < 75) for place in range(100)])
    assert 1 / (1 + math.exp(-weight)) == pytest.approx(0.75, abs=0.005)  # the ridge pulls a little


def test_a_calibration_separates_what_the_margin_separates():
    known = [
        (asked(size, 0.1 * size), ("add",) if size > 1 else ())
        for size in (0.1, 0.2, 0.3, 0.4, 3.0, 4.0, 5.0, 6.0)
    ]
    calibration = fitted([known[::2], known[1::2]])
    assert [calibration.answer(evidence).named for evidence, _ in known] == [""] * 4 + ["add"] * 4
    assert calibration.answer(asked(0.0, 9.0)).named == "sort"


def test_a_probability_rests_on_worlds_that_the_first_fit_did_not_see():
    # What one world teaches is wrong in the other, so no name of another world is ever right.
    worlds = [[(asked(3.0, 0.3), (truth,))] * 8 for truth in ("add", "sort")]
    calibration = fitted(worlds)
    # The surer the first fit is, the likelier it is wrong. On its own worlds half would be right.
    assert calibration.named[1] < -0.5
    assert calibration.answer(asked(3.0, 0.3)).probability < 0.45


def test_a_calibration_needs_two_worlds():
    with pytest.raises(RefusedError) as refused:
        fitted([[(asked(3.0, 0.3), ("add",))]])
    assert refused.value.code == "no-worlds"


def between(low, high):
    return {"value": (low + high) / 2, "low": low, "high": high}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"taught": between(-0.01, 0.03), "untaught": {}}, "adds nothing"),
        ({"taught": between(0.01, 0.03)}, "improves right names (+0.020, +0.010 to +0.030)."),
        ({"brier": between(-0.03, -0.01)}, "improves the Brier score (-0.020, -0.030 to -0.010)."),
        ({"untaught": between(-0.03, -0.01)}, "worsens untaught"),
        ({"taught": between(0.01, 0.03), "brier": between(0.1, 0.3)}, ", but worsens the Brier"),
    ],
)
def test_one_sentence_says_what_the_ledger_adds(found, words):
    assert words in sentence(found)
