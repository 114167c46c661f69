"""Where microbatches are cut: their bound, their padding, their number."""

import itertools
import random

import pytest

from tasks.onpolicy.cuts import MOST_PADDING, cut, fill, padded_tokens
from tasks.onpolicy.microbatch import ScoredRollout
from tasks.onpolicy.settings import Normalization
from tasks.onpolicy.step_plan import padding, plan_step
from tests.support.tiny_models import rollout

# Median response lengths of domains: long reasoning, code, chat, instructions; with prompts.
MEDIANS = (900, 700, 60, 35)


def mixture(seed, num_rows=48):
    """Return sorted lengths for four domains, log-normal around their medians, cut at 2048."""
    draw = random.Random(seed)
    return [
        sorted(min(2048, 20 + int(median * draw.lognormvariate(0, 0.7))) for _ in range(num_rows))
        for median in MEDIANS
    ]


def share_of_padding(lengths, cuts):
    padded = sum(itertools.starmap(padded_tokens, zip(lengths, cuts, strict=True)))
    return 1 - sum(map(sum, lengths)) / padded


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("max_tokens", [4096, 16_384, 131_072])
def test_less_than_a_tenth_of_a_step_is_padding(seed, max_tokens):
    lengths = mixture(seed)
    cuts = cut(lengths, max_tokens)
    assert [sum(sizes) for sizes in cuts] == [len(rows) for rows in lengths]
    assert share_of_padding(lengths, cuts) <= MOST_PADDING
    one_each = share_of_padding(lengths, [[len(rows)] for rows in lengths])
    assert one_each > 3 * MOST_PADDING  # a bound that wide alone would waste so much


def test_padding_is_what_rows_lack_to_the_longest():
    # 3 x 4 + 1 x 9 = 21 tokens for 2 + 4 + 4 + 9 = 19.
    assert padded_tokens([2, 4, 4, 9], [3, 1]) == 21
    rows = [ScoredRollout(rollout(range(length), [length - 1])) for length in (2, 4, 4, 9)]
    plan = plan_step(rows, Normalization.TOKEN_MEAN, 12, pad_id=0)
    assert [tuple(m.tokens.ids_BS.shape) for m in plan] == [(3, 4), (1, 9)]
    assert padding(plan) == pytest.approx(2 / 21)


def brute_force(lengths, max_tokens):
    """Return the fewest microbatches that hold to both bounds, over all cuts of one list."""
    count = len(lengths)
    for num_cuts in range(count):
        for places in itertools.combinations(range(1, count), num_cuts):
            ends = [*places, count]
            sizes = [end - begin for begin, end in zip([0, *places], ends, strict=True)]
            widths = [lengths[end - 1] for end in ends]
            fits = all(
                size == 1 or size * width <= max_tokens
                for size, width in zip(sizes, widths, strict=True)
            )
            if fits and share_of_padding([lengths], [sizes]) <= MOST_PADDING:
                return num_cuts + 1
    raise AssertionError("a microbatch for each row always fits")


@pytest.mark.parametrize("seed", range(20))
def test_there_are_hardly_more_passes_than_must_be(seed):
    draw = random.Random(seed)
    lengths = sorted(draw.randint(1, 40) for _ in range(9))
    (sizes,) = cut([lengths], 80)
    assert all(
        size == 1 or size * lengths[end - 1] <= 80
        for size, end in zip(sizes, itertools.accumulate(sizes), strict=True)
    )
    # Not always the fewest: one price for all passes cannot reach every cut.
    assert brute_force(lengths, 80) <= len(sizes) <= brute_force(lengths, 80) + 1


def test_a_list_may_have_more_padding_where_the_step_has_not():
    few, many = [10, 20], [100] * 40
    assert cut([few, many], 10_000) == [[2], [40]]
    assert cut([few], 10_000) == [[1, 1]]  # alone, 10 of 40 tokens would be padding


def test_the_largest_microbatches_are_halved_for_the_ranks():
    lengths = [5, 5, 5, 5, 8, 8, 8]
    # 4 x 5 = 20 and 3 x 8 = 24 tokens: the second is halved, then the first.
    assert fill(lengths, [4, 3], 1) == [4, 3]
    assert fill(lengths, [4, 3], 3) == [4, 1, 2]
    assert fill(lengths, [4, 3], 4) == [2, 2, 1, 2]
    assert fill([5, 8], [1, 1], 3) == [1, 1]  # nothing is left to halve


def test_a_plan_for_several_ranks_fills_them_all():
    rows = [
        ScoredRollout(rollout(range(9), [8]), teacher) for teacher in ("code", "math", "math") * 4
    ]
    plan = plan_step(rows, Normalization.TOKEN_MEAN, 10_000, 0, num_ranks=4)
    assert [m.teacher for m in plan] == ["code"] * 4 + ["math"] * 4
    assert sum(float(m.weights_N.sum()) for m in plan) == pytest.approx(1.0)


def test_units_are_not_cut():
    # At most 24 tokens: the first two units fill a microbatch of 4 rows of 6, the third has 3 of 8.
    assert cut([[5, 6, 8]], 24, [[2, 2, 3]]) == [[4, 3]]
    # Rows one by one would fit in another way: 2 of 5, then 2 of 6, then 3 of 8, all unpadded, but
    # the fewest passes are taken.
    assert cut([[5, 5, 6, 6, 8, 8, 8]], 24) == [[4, 3]]
    # A unit of 12 rows is larger than a microbatch, and is one all the same.
    assert cut([[2, 4]], 24, [[1, 12]]) == [[1, 12]]
