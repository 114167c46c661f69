"""Merging by weights, on numbers that can be checked by head."""

import pytest
import torch

from tasks.merge import weights
from tests.support.refused import refused

START = {"w": torch.tensor([1.0, 2.0]), "b": torch.tensor([0.0])}
ONE = {"w": torch.tensor([3.0, 2.0]), "b": torch.tensor([1.0])}
TWO = {"w": torch.tensor([1.0, 6.0]), "b": torch.tensor([-2.0])}


def average(states):
    return weights.average((state, 1.0) for state in states)


def task_arithmetic(start, states, weight):
    vector = weights.task_vector(start, [(state, 1.0) for state in states])
    return weights.task_arithmetic(start, vector, weight)


def same(state, **expected):
    assert state.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(state[name], torch.tensor(values))


def test_the_average_of_two_models():
    same(average([ONE, TWO]), w=[2.0, 4.0], b=[-0.5])


def test_the_average_of_one_model_is_that_model():
    same(average([ONE]), w=[3.0, 2.0], b=[1.0])


def test_each_model_weighs_the_same_whatever_the_order():
    three = average([ONE, TWO, START])
    same(three, w=[5.0 / 3.0, 10.0 / 3.0], b=[-1.0 / 3.0])
    for name, tensor in average([START, TWO, ONE]).items():
        torch.testing.assert_close(tensor, three[name])


def test_task_vectors_are_added_to_the_start():
    # vectors from the start: ONE (2, 0 | 1), TWO (0, 4 | -2); their sum (2, 4 | -1); half of it
    same(task_arithmetic(START, [ONE, TWO], 0.5), w=[2.0, 4.0], b=[-0.5])
    same(task_arithmetic(START, [ONE, TWO], 1.0), w=[3.0, 6.0], b=[-1.0])


def test_a_weight_of_zero_is_the_start_and_of_one_with_one_model_is_that_model():
    same(task_arithmetic(START, [ONE, TWO], 0.0), w=[1.0, 2.0], b=[0.0])
    same(task_arithmetic(START, [TWO], 1.0), w=[1.0, 6.0], b=[-2.0])


def test_one_over_the_number_of_models_is_their_average():
    merged = task_arithmetic(START, [ONE, TWO], 1 / 2)
    for name, tensor in average([ONE, TWO]).items():
        torch.testing.assert_close(merged[name], tensor)


def test_the_inputs_stay_as_they_are():
    task_arithmetic(START, [ONE, TWO], 0.5)
    average([ONE, TWO])
    same(START, w=[1.0, 2.0], b=[0.0])
    same(ONE, w=[3.0, 2.0], b=[1.0])


def test_half_precision_is_summed_in_full():
    small = {"w": torch.tensor([1.0], dtype=torch.bfloat16)}
    near = {"w": torch.tensor([1.0078125], dtype=torch.bfloat16)}
    # bfloat16 has steps of 2^-7 above 1. Two vectors of one step each at weight 0.5 are one step;
    # had each half a step been rounded to even by itself, nothing would be left.
    merged = task_arithmetic(small, [near, near], 0.5)
    assert merged["w"].dtype == torch.bfloat16
    assert merged["w"].item() == 1.0078125
    # 1 + 2^-8 lies between two steps of bfloat16
    assert average([small, near])["w"].item() == 1.00390625


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"w": torch.zeros(3), "b": torch.zeros(1)}, "['w'] (1 in all)"),
        ({"w": torch.zeros(2)}, "['b'] (1 in all)"),
        ({"w": torch.zeros(2), "b": torch.zeros(1), "c": torch.zeros(1)}, "['c']"),
    ],
)
def test_models_of_different_architectures_are_refused(other, named):
    with refused("other-parameters", named):
        average([ONE, other])
    with refused("other-parameters", named):
        task_arithmetic(START, [ONE, other], 0.5)


def test_weights_of_an_average_are_relative():
    same(weights.average([(ONE, 0.3), (TWO, 0.1)]), w=[2.5, 3.0], b=[0.25])


def test_a_task_vector_is_weighted():
    same(weights.task_vector(START, [(ONE, 0.5), (TWO, 0.25)]), w=[1.0, 1.0], b=[0.0])


def test_an_average_of_nothing_is_refused():
    with refused("no-model"):
        weights.average([])


def test_models_are_loaded_one_at_a_time():
    alive = []

    def models():
        for state in (ONE, TWO):
            alive.append(len(alive))
            yield state, 1.0

    weights.average(models())
    assert alive == [0, 1]


# Task vectors from START: ONE (2, 0 | 1), TWO (0, 4 | -2).


def test_trimming_keeps_the_largest_entries_of_the_whole_vector():
    vector = {"w": torch.tensor([2.0, -0.5]), "b": torch.tensor([-1.0])}
    same(weights.trimmed(vector, 1 / 3), w=[2.0, 0.0], b=[0.0])
    same(weights.trimmed(vector, 2 / 3), w=[2.0, 0.0], b=[-1.0])
    same(weights.trimmed(vector, 1.0), w=[2.0, -0.5], b=[-1.0])


def test_ties_averages_what_agrees_with_the_elected_sign():
    # b: 1 against -2, so the negative sign is elected and only -2 is averaged; w: one entry each
    same(weights.ties(START, [(ONE, 1.0), (TWO, 1.0)], 1.0), w=[2.0, 4.0], b=[-2.0])
    # ONE weighs 3: 3 against -2 elects the positive sign
    same(weights.ties(START, [(ONE, 3.0), (TWO, 1.0)], 1.0), w=[2.0, 4.0], b=[1.0])


def test_ties_counts_a_trimmed_entry_neither_in_the_election_nor_in_the_mean():
    # a third of each vector: ONE keeps 2 in w, TWO keeps 4 in w
    same(weights.ties(START, [(ONE, 1.0), (TWO, 1.0)], 1 / 3), w=[2.0, 4.0], b=[0.0])


def test_ties_averages_two_that_agree():
    other = {"w": torch.tensor([5.0, 2.0]), "b": torch.tensor([0.0])}
    same(weights.ties(START, [(ONE, 1.0), (other, 1.0)], 1.0), w=[3.0, 0.0], b=[1.0])


def test_dare_keeps_the_expectation_and_scales_what_it_keeps():
    start = {"w": torch.zeros(20_000)}
    model = {"w": torch.full((20_000,), 2.0)}
    thinned = weights.dare(start, [(model, 1.0)], 0.25, seed=3)["w"]
    assert set(thinned.tolist()) == {0.0, 8.0}
    # a share of 0.25 of 20,000 has a standard deviation of 0.003
    assert (thinned > 0).float().mean().item() == pytest.approx(0.25, abs=0.015)
    assert thinned.mean().item() == pytest.approx(2.0, abs=0.12)


def test_dare_draws_anew_for_each_model_and_again_for_the_same_seed():
    start = {"w": torch.zeros(100)}
    model = {"w": torch.ones(100)}
    both = weights.dare(start, [(model, 1.0), (model, 1.0)], 0.5, seed=1)["w"]
    assert set(both.tolist()) == {0.0, 2.0, 4.0}
    assert torch.equal(both, weights.dare(start, [(model, 1.0)] * 2, 0.5, seed=1)["w"])
    assert not torch.equal(both, weights.dare(start, [(model, 1.0)] * 2, 0.5, seed=2)["w"])


def test_dare_that_keeps_everything_is_task_arithmetic():
    pairs = [(ONE, 1.0), (TWO, 0.5)]
    kept = weights.dare(START, pairs, 1.0, seed=0)
    for name, tensor in weights.task_vector(START, pairs).items():
        torch.testing.assert_close(kept[name], tensor)
