"""Documents by source: shares of the tokens, rounds, and rows with their positions."""

from itertools import count, islice

import pytest

from tasks.mid_training.mixture import draw, shares_of
from tasks.mid_training.rows import NOT_LEARNED, PackedRow, pack, plain
from tasks.mid_training.settings import MidTrainingSettings
from tests.support.refused import invalid, refused

# Long documents in one source, short ones in the other.
DOCUMENTS = {"web": [[n] * 12 for n in range(9)], "code": [[n] * 3 for n in range(100, 110)]}


def read_of(shares, num_tokens, seed=0):
    read = dict.fromkeys(DOCUMENTS, 0)
    for source, document in draw(DOCUMENTS, shares, seed):
        read[source] += len(document)
        if sum(read.values()) >= num_tokens:
            return read


def test_each_source_has_its_share_of_the_tokens_whatever_its_documents_lengths():
    read = read_of({"web": 0.25, "code": 0.75}, 4000)
    assert read["web"] / sum(read.values()) == pytest.approx(0.25, abs=12 / 4000)


def test_a_source_that_runs_out_starts_again_in_another_order():
    drawn = [d[0] for _, d in islice(draw(DOCUMENTS, {"web": 1.0}, 0), 27)]
    rounds = [drawn[:9], drawn[9:18], drawn[18:]]
    assert [sorted(each) for each in rounds] == [list(range(9))] * 3
    assert rounds[0] != rounds[1] != rounds[2]
    assert drawn == [d[0] for _, d in islice(draw(DOCUMENTS, {"web": 1.0}, 0), 27)]
    assert drawn != [d[0] for _, d in islice(draw(DOCUMENTS, {"web": 1.0}, 1), 27)]


def test_shares_come_from_the_weights_or_else_from_the_data():
    tokens = {"web": 300, "code": 100}
    assert shares_of(tokens, {}) == {"web": 0.75, "code": 0.25}
    assert shares_of(tokens, {"web": 1, "code": 4}) == {"web": 0.2, "code": 0.8}
    assert shares_of(tokens, {"web": 1, "code": 0}) == {"web": 1.0}
    for weights in ({"web": 1}, {"web": 1, "code": 1, "books": 1}):
        with refused("other-sources", "code"):
            shares_of(tokens, weights)


@pytest.mark.parametrize("weights", [{"web": -1.0, "code": 2.0}, {"web": 0.0}])
def test_weights_that_make_no_mixture_are_refused(weights):
    with invalid("no-mixture", str(weights)):
        MidTrainingSettings(num_steps=1, learning_rate=1, weights=weights)


def test_isolated_documents_start_anew_and_none_predicts_the_next():
    documents = iter([[1, 2, 3], [4, 5], [6, 7, 8, 9]])
    first, second = pack(documents, 4, 2)
    assert first == PackedRow([1, 2, 3, 4], [1, 2, 3, NOT_LEARNED], [0, 1, 2, 0])
    # The rest of a document that a row could not hold starts anew.
    assert second == PackedRow([5, 6, 7, 8], [5, NOT_LEARNED, 7, 8], [0, 0, 1, 2])


def test_plain_rows_are_one_text():
    (row,) = pack(iter([[1, 2], [3, 4]]), 4, 1)
    assert plain(row) == PackedRow([1, 2, 3, 4], [1, 2, 3, 4], [0, 1, 2, 3])


def test_a_document_longer_than_a_row_goes_on_in_the_next():
    rows = pack(iter([list(range(10))]), 5, 2)
    assert [row.input_ids for row in rows] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    drawn = ([n] for n in count())
    assert len(pack(drawn, 3, 4)) == 4
    assert next(drawn) == [12]  # nothing more is drawn than the rows hold
