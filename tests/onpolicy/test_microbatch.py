"""The step plan: one teacher a microbatch, weights that sum to one, numbers that stay aligned."""

import pytest
import torch

from tasks.onpolicy.microbatch import ScoredRollout
from tasks.onpolicy.settings import Normalization
from tasks.onpolicy.step_plan import plan_step
from tests.support.refused import refused
from tests.support.tiny_models import rollout

SEQUENCE, TOKEN = Normalization.SEQUENCE_MEAN, Normalization.TOKEN_MEAN
BOTH = pytest.mark.parametrize("normalization", list(Normalization))


def scored(length, num_responses, teacher="math", *, first_id=10, advantage=0.0):
    """Return a rollout of so many tokens; the last ``num_responses`` are the policy's.

    Token at place p has the id ``first_id`` + p and the sampler's log-probability -(first_id + p).
    """
    places = range(length - num_responses, length)
    made = rollout(
        range(first_id, first_id + length),
        list(places),
        log_probs=[-float(first_id + place) for place in places],
    )
    return ScoredRollout(made, teacher, advantage)


# Three teachers in disorder, lengths in disorder.
MIXED = [
    scored(7, 3, "code", first_id=10, advantage=1.0),
    scored(5, 2, "math", first_id=30, advantage=2.0),
    scored(4, 1, "code", first_id=50, advantage=3.0),
    scored(9, 6, "agent", first_id=70, advantage=4.0),
    scored(3, 2, "math", first_id=90, advantage=5.0),
]


def test_a_microbatch_never_mixes_teachers():
    owner = {10: "code", 30: "math", 50: "code", 70: "agent", 90: "math"}
    for max_tokens in (1, 10, 20, 10_000):
        plan = plan_step(MIXED, SEQUENCE, max_tokens, pad_id=0)
        for microbatch in plan:
            assert {owner[int(row[0])] for row in microbatch.tokens.ids_BS} == {microbatch.teacher}


def test_rollouts_are_sorted_by_teacher_and_then_by_length():
    equal = [scored(7, 3, "math", first_id=30), scored(7, 1, "math", first_id=90)]
    plan = plan_step([*MIXED, *equal], SEQUENCE, 10_000, pad_id=0)
    firsts = [row for microbatch in plan for row in microbatch.tokens.ids_BS[:, 0].tolist()]
    assert firsts == [70, 50, 10, 90, 30, 30, 90]
    assert [microbatch.teacher for microbatch in plan] == sorted(m.teacher for m in plan)


@BOTH
@pytest.mark.parametrize("max_tokens", [1, 10, 10_000])
def test_the_weights_of_a_step_sum_to_one(normalization, max_tokens):
    plan = plan_step(MIXED, normalization, max_tokens, pad_id=0)
    total = sum(float(microbatch.weights_N.sum()) for microbatch in plan)
    assert total == pytest.approx(1.0, abs=1e-6)


def test_weights_sum_to_one_beside_a_rollout_without_a_response():
    plan = plan_step([scored(4, 2), scored(4, 0)], SEQUENCE, 10_000, pad_id=0)
    assert sum(float(microbatch.weights_N.sum()) for microbatch in plan) == pytest.approx(1.0)


def test_a_sequence_mean_gives_each_rollout_the_same_weight():
    (microbatch,) = plan_step([scored(9, 1), scored(9, 3)], SEQUENCE, 10_000, pad_id=0)
    # Two rollouts have a half each: one token of 1/2, three tokens of 1/6.
    expected = torch.tensor([1 / 2, 1 / 6, 1 / 6, 1 / 6])
    torch.testing.assert_close(microbatch.weights_N, expected)


def test_a_token_mean_gives_each_token_the_same_weight():
    (microbatch,) = plan_step([scored(9, 1), scored(9, 3)], TOKEN, 10_000, pad_id=0)
    # Four tokens have a quarter each; the long rollout weighs three times the short one.
    torch.testing.assert_close(microbatch.weights_N, torch.full((4,), 1 / 4))


@BOTH
def test_a_weight_is_a_share_of_the_step_and_not_of_its_microbatch(normalization):
    whole = plan_step(MIXED, normalization, 10_000, pad_id=0)
    single = plan_step(MIXED, normalization, 1, pad_id=0)
    torch.testing.assert_close(
        torch.cat([microbatch.weights_N for microbatch in single]),
        torch.cat([microbatch.weights_N for microbatch in whole]),
    )


def test_the_padded_size_of_a_microbatch_stays_within_its_bound():
    rollouts = [scored(length, 1) for length in (3, 4, 4, 5, 6)]
    plan = plan_step(rollouts, SEQUENCE, 12, pad_id=0)
    # 3 x 4 = 12 fits; a fourth of 5 would make 4 x 5; two of 5 and 6 make 2 x 6 = 12. Padding is
    # 2 of 24 tokens.
    assert [tuple(microbatch.tokens.ids_BS.shape) for microbatch in plan] == [(3, 4), (2, 6)]
    tighter = plan_step(rollouts, SEQUENCE, 11, pad_id=0)
    assert [tuple(m.tokens.ids_BS.shape) for m in tighter] == [(2, 4), (2, 5), (1, 6)]


def test_a_rollout_longer_than_the_bound_gets_a_microbatch_of_its_own():
    plan = plan_step([scored(9, 1), scored(3, 1), scored(3, 1)], SEQUENCE, 6, pad_id=0)
    assert [tuple(microbatch.tokens.ids_BS.shape) for microbatch in plan] == [(2, 3), (1, 9)]


@pytest.mark.parametrize("max_tokens", [1, 10, 10_000])
def test_every_number_stays_with_its_token_through_the_sorting(max_tokens):
    advantage_of = {10: 1.0, 30: 2.0, 50: 3.0, 70: 4.0, 90: 5.0}
    seen = []
    for microbatch in plan_step(MIXED, SEQUENCE, max_tokens, pad_id=0):
        tokens = microbatch.tokens.tokens_N.tolist()
        # A token's log-probability is minus its id, and its rollout's first id is a ten below.
        assert microbatch.sampler_log_probs_N.tolist() == [-float(token) for token in tokens]
        first = [token // 20 * 20 + 10 for token in tokens]
        assert microbatch.outcome_advantages_N.tolist() == [advantage_of[ten] for ten in first]
        seen += tokens
    # Each rollout's last places: 7 - 3 to 7, 5 - 2 to 5, 4 - 1 to 4, 9 - 6 to 9, 3 - 2 to 3.
    assert sorted(seen) == [14, 15, 16, 33, 34, 53, *range(73, 79), 91, 92]


def test_responses_on_either_side_of_a_tools_reply_are_both_chosen():
    made = rollout(range(10, 18), [2, 3, 6, 7], log_probs=[-1.0, -2.0, -3.0, -4.0])
    (microbatch,) = plan_step([ScoredRollout(made)], SEQUENCE, 100, pad_id=0)
    assert microbatch.tokens.tokens_N.tolist() == [12, 13, 16, 17]
    assert microbatch.sampler_log_probs_N.tolist() == [-1.0, -2.0, -3.0, -4.0]
    assert microbatch.teacher == ""


def test_a_step_without_a_response_token_is_refused():
    with refused("no-response-token"):
        plan_step([scored(4, 0), scored(2, 0)], SEQUENCE, 100, pad_id=0)
    with refused("no-response-token"):
        plan_step([], SEQUENCE, 100, pad_id=0)


def test_a_microbatch_moves_to_a_device_whole():
    (microbatch,) = plan_step([scored(4, 2)], SEQUENCE, 100, pad_id=0)
    moved = microbatch.to(torch.device("meta"))
    held = (*vars(moved).values(), *vars(moved.tokens).values())
    tensors = [value for value in held if isinstance(value, torch.Tensor)]
    assert len(tensors) == 3 + 3
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert microbatch.weights_N.device.type == "cpu"


def group(prompt, lengths, teacher="math"):
    """Return responses of these lengths to a prompt of ten tokens, all of them ``prompt``."""
    made = []
    for number, length in enumerate(lengths):
        ids = [prompt] * 10 + [100 + number] * length
        made.append(ScoredRollout(rollout(ids, list(range(10, 10 + length))), teacher))
    return made


def prompts_of(plan):
    return [batch.tokens.ids_BS[:, 0].tolist() for batch in plan]


GROUPS = [item for pair in zip(group(1, (4, 6)), group(2, (5, 6)), strict=True) for item in pair]
"""Two responses to each of two prompts, in turns."""


def test_responses_to_a_prompt_stay_together_where_prefixes_are_read_once():
    # 32 tokens hold two rows. By length they would be 1, 2 and 1, 2, and share nothing.
    apart = plan_step(GROUPS, TOKEN, 32, pad_id=0)
    assert prompts_of(apart) == [[1, 2], [1, 2]]
    together = plan_step(GROUPS, TOKEN, 32, pad_id=0, reads_prefixes_once=True)
    assert prompts_of(together) == [[1, 1], [2, 2]]
    # Of 13 + 15 and 14 + 15 tokens that predict another, 9 are read once: the tenth predicts a
    # response.
    assert [batch.tokens.num_read for batch in together] == [19, 20]
    # Rows of 13 and 14 tokens have too little padding for a packed row.
    assert [batch.tokens.num_read for batch in apart] == [28, 30]
    assert sum(float(batch.weights_N.sum()) for batch in together) == pytest.approx(1.0)


def test_a_short_response_stays_beside_a_long_one_because_padding_is_not_read():
    uneven = [*group(1, (1, 50)), *group(2, (1, 50))]
    plan = plan_step(uneven, TOKEN, 130, pad_id=0, reads_prefixes_once=True)
    assert prompts_of(plan) == [[1, 1], [2, 2]]
    # 10 and 59 tokens, of which 9 are shared.
    assert [batch.tokens.num_read for batch in plan] == [60, 60]
    whole = plan_step(uneven, TOKEN, 130, pad_id=0)
    assert prompts_of(whole) == [[1, 2], [1, 2]]


def test_a_group_that_is_larger_than_a_microbatch_is_split():
    plan = plan_step(group(1, (6,) * 5), TOKEN, 32, pad_id=0, reads_prefixes_once=True)
    assert sorted(map(len, prompts_of(plan))) == [1, 2, 2]
