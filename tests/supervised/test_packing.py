"""Rows of a base's text: cut, or packed whole."""

from tasks.model.chat import Tokens
from tasks.supervised.packing import cut, packed
from tests.support.refused import refused


def unit(*ids, said=True):
    return Tokens(ids, (said,) * len(ids))


def test_documents_are_cut_to_the_width_and_the_rest_is_left_out():
    assert cut([(1, 2, 3), (4, 5)], 2) == [unit(1, 2), unit(3, 4)]
    assert cut([(1,)], 2) == []


def test_units_are_never_cut_and_share_a_row_where_they_fit():
    assert packed([unit(1, 2), unit(3, 4, 5), unit(6)], 4) == [unit(1, 2), unit(3, 4, 5, 6)]


def test_a_row_keeps_which_of_its_tokens_are_learned():
    (row,) = packed([unit(1, said=False), unit(2, 3)], 3)
    assert row == Tokens((1, 2, 3), (False, True, True))


def test_every_unit_is_in_one_row_and_no_row_is_wider_than_allowed():
    units = [unit(*[number] * (number % 7 + 1)) for number in range(300)]
    rows = packed(units, 10)
    assert max(len(row.ids) for row in rows) <= 10
    flat = sorted(token for row in rows for token in row.ids)
    assert flat == sorted(token for each in units for token in each.ids)
    # 1,200 tokens fill 120 rows of 10 at the least; a tenth of the room may stay empty.
    assert len(rows) < 134


def test_a_unit_that_is_longer_than_a_row_is_refused():
    with refused("demonstration-too-long"):
        packed([unit(1, 2, 3)], 2)
