"""A rollout's grade within the rollouts of its prompt, by hand."""

import pytest

from tasks.onpolicy.policy_gradient import group_advantages
from tests.support.tiny_models import rollout


def graded(*scores, prompt="p", domain="math"):
    """Return a rollout for each score."""
    return [rollout([1, 2], [1], prompt=prompt, domain=domain, score=score) for score in scores]


def test_an_advantage_is_the_distance_from_the_groups_mean_in_standard_deviations():
    # Mean 1/4; deviation sqrt((3 x (1/4)^2 + (3/4)^2) / 4) = sqrt(3) / 4.
    # So (1 - 1/4) / (sqrt(3) / 4) = sqrt(3) and -1/4 / (sqrt(3) / 4) = -1 / sqrt(3).
    expected = [3**0.5, -(3**-0.5), -(3**-0.5), -(3**-0.5)]
    assert group_advantages(graded(1, 0, 0, 0)) == pytest.approx(expected)


def test_partial_scores_count_in_proportion():
    # Mean 1/2, deviation sqrt((1/4 + 0 + 1/4) / 3) = sqrt(1/6); 1/2 / sqrt(1/6) = sqrt(3/2).
    assert group_advantages(graded(0, 0.5, 1)) == pytest.approx([-(1.5**0.5), 0, 1.5**0.5])


@pytest.mark.parametrize("score", [0.0, 0.1, 1.0])
def test_a_group_of_equal_scores_has_no_advantage(score):
    assert group_advantages(graded(score, score, score)) == [0.0, 0.0, 0.0]


def test_scores_that_differ_by_rounding_alone_are_equal():
    # 0.1 + 0.2 is 0.30000000000000004, which says nothing of which answer was better.
    assert group_advantages(graded(0.1 + 0.2, 0.3)) == [0.0, 0.0]


def test_one_right_answer_among_many_has_a_large_advantage():
    # Mean 1/8, deviation sqrt(1/8 x 7/8) = sqrt(7) / 8.
    assert group_advantages(graded(1, *[0] * 7))[0] == pytest.approx(7**0.5)


def test_a_group_of_one_has_no_advantage():
    assert group_advantages(graded(1)) == [0.0]


def test_groups_are_apart_and_keep_the_order_of_the_rollouts():
    easy, hard = graded(1, 0, prompt="easy"), graded(0, 0, prompt="hard")
    mixed = [easy[0], hard[0], easy[1], hard[1]]
    # Easy: mean 1/2, deviation 1/2. Hard: nothing to tell.
    assert group_advantages(mixed) == pytest.approx([1, 0, -1, 0])


def test_prompts_of_two_domains_that_share_an_id_are_two_groups():
    mixed = graded(1, 1, domain="math") + graded(0, 0, domain="code")
    assert group_advantages(mixed) == [0.0] * 4


def test_the_advantages_of_a_group_sum_to_zero_and_have_deviation_one():
    advantages = group_advantages(graded(1, 0, 0.25, 0.75, 0, 1, 1))
    assert sum(advantages) == pytest.approx(0)
    assert sum(a * a for a in advantages) / 7 == pytest.approx(1)


def test_no_rollouts_have_no_advantages():
    assert group_advantages([]) == []
