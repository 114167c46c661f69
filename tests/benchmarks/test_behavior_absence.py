"""What a teacher's absence does, from rows that are made by hand."""

import random

import pytest

from benchmarks.behaviors.absence import (
    OTHER,
    OWN,
    REHEARSAL,
    STUDENT,
    WHOLE_REHEARSAL,
    called,
    left_out,
)
from benchmarks.behaviors.effects import (
    CEILING,
    GUESS,
    TRUTH,
    WHOLE_GUESS,
    TeacherEffect,
    correlations,
    effects,
    lost_without,
    preserved,
)
from benchmarks.behaviors.making import Numbers, round_without
from benchmarks.behaviors.world import BehaviorWorld
from tasks.mopd.settings import Divergence
from tests.benchmarks.test_behaviors import row_of

WORLD = BehaviorWorld(0)


def test_one_teacher_that_shares_a_domain_and_one_that_does_not_are_left_out():
    shares = {seat.name: seat.share for seat in WORLD.seats}
    shared, alone = left_out(WORLD)
    assert (shares[shared], shares[alone]) == (0.5, 1)


def absent_row():
    """Return two retrains' log-odds of the behavior of ``row_of``, without the teacher of add."""
    odds = {
        STUDENT: [1.0, 3.0],
        OTHER: [2.0, 4.0],
        called(OTHER, ["add"]): [-1.0, -1.0],
        called(OWN, ["add"]): [0.0, 0.0],
        REHEARSAL: [3.0, 3.0],
        called(REHEARSAL, ["add"]): [0.5, 0.5],
        WHOLE_REHEARSAL: [5.0, 5.0],
        called(WHOLE_REHEARSAL, ["add"]): [1.5, 1.5],
    }
    says = {
        run: {"add/brand/owl": {"odds": each, "greedy": [float(odd > 0) for odd in each]}}
        for run, each in odds.items()
    }
    return {"left_out": ["add"], "says": says}


def test_effects_of_absence_by_hand():
    (found,) = effects(absent_row(), row_of())
    values = found.nats
    assert values[TRUTH] == 4.0  # 3 - (-1)
    assert values[CEILING] == 2.0
    assert values[REHEARSAL] == 2.0  # (2 + 3) / 2 - 0.5
    assert values[WHOLE_REHEARSAL] == 2.0  # (2 + 5) / 2 - 1.5
    assert values[GUESS] == values[WHOLE_GUESS] == pytest.approx(2.15)  # TracIn is 1.5
    assert values["owner of the domain"] == pytest.approx(7.5)
    assert (found.is_taught, found.is_off_domain) == (True, False)


@pytest.mark.parametrize(
    ("doses", "heard", "domain", "is_taught", "is_off_domain"),
    [
        ({"sort": 0.03}, {"sort": 0.03}, "sort", False, True),
        ({"add": 0.03, "sort": 0.03}, {"sort": 0.03}, "sort", False, False),
        ({}, {}, "add", False, False),
    ],
)
def test_a_pair_is_in_domain_or_off_domain_or_neither(
    doses, heard, domain, is_taught, is_off_domain
):
    main = row_of()
    main["behaviors"][0] |= {"doses": doses, "heard": heard, "domain": domain}
    (found,) = effects(absent_row(), main)
    assert (found.is_taught, found.is_off_domain) == (is_taught, is_off_domain)


@pytest.mark.medium
def test_a_correlation_is_compared_with_the_ceilings():
    pairs = [
        TeacherEffect(
            (world, str(place)),
            is_taught=place < 3,
            is_off_domain=place >= 3,
            nats={TRUTH: value, CEILING: value, "x": value if place < 3 else -value},
        )
        for world in (0, 1)
        for place, value in enumerate([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    ]
    found = correlations(pairs)
    assert found[CEILING]["all"]["of_ceiling"]["value"] == 1
    assert found["x"]["in domain"]["of_ceiling"]["value"] == 1
    assert found["x"]["off domain"]["correlation"]["value"] == -1
    # Ranks 4 5 6 3 2 1 against 1 to 6: squared distances 9 9 9 1 9 25, so 1 - 6 * 62 / 210.
    assert found["x"]["all"]["correlation"]["value"] == pytest.approx(1 - 372 / 210, abs=1e-4)
    assert found["x"]["all"]["of_ceiling"]["worlds"] == 2
    assert found["x"]["all"]["of_ceiling"]["low"] < found["x"]["all"]["of_ceiling"]["high"]


def test_what_others_taught_is_counted_where_the_retrain_shows_it():
    row, main = absent_row(), row_of()
    main["behaviors"][0] |= {"doses": {"sort": 0.01}, "heard": {"sort": 0.01}}
    found = preserved([(row, main)])
    assert found[OWN]["probability"]["value"] == 0.5  # log-odds of 0
    expected = (0.7311 + 0.9526) / 2
    assert found[STUDENT]["probability"]["value"] == pytest.approx(expected, abs=1e-4)
    assert (found[STUDENT]["greedy"]["value"], found[OWN]["greedy"]["value"]) == (1, 0)
    for said in row["says"][OTHER].values():
        said["odds"] = [-9.0, -9.0]
    assert preserved([(row, main)])[OWN]["greedy"] == {}


def test_a_teacher_carried_what_both_retrains_lose():
    row = absent_row()
    assert lost_without(row, "add/brand/owl", "add") is True  # 4 nats, and 2
    row["says"][called(OWN, ["add"])]["add/brand/owl"]["odds"] = [1.4, 1.4]
    assert lost_without(row, "add/brand/owl", "add") is False  # 0.6, and log 2 is 0.69


def test_a_round_without_a_teacher_is_else_the_same():
    settings = Numbers().round
    found = round_without(settings, ("add",))
    assert found.distil == settings.distil.model_copy(update={"masked": ["add"]})
    assert found.distil.divergence is Divergence.FORWARD
    assert (found.loop, found.prompts_per_domain) == (settings.loop, settings.prompts_per_domain)


@pytest.mark.parametrize("rollouts", [6, 12])
def test_a_smaller_sample_of_rollouts_is_the_beginning_of_a_larger_one(rollouts):
    # A ledger draws them so, and ``FewerKept`` rests on it.
    draws = [random.Random("7 3 add").sample(range(rollouts), count) for count in (4, rollouts)]
    assert draws[0] == draws[1][:4]
