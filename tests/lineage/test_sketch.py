"""Sketches tell how much two data sets share, exactly for rows and nearly for wordings."""

import pytest

from lineage.compatibility.sketch import overlap, put_sketch, read_sketch, sketch
from lineage.digest import digest_bytes
from lineage.errors import LineageError


def words(start: int, count: int) -> list[str]:
    return [
        " ".join(f"w{n}" for n in range(k * 20, k * 20 + 20)) for k in range(start, start + count)
    ]


def test_shared_rows_are_counted_exactly():
    found = overlap(sketch(words(0, 100)), sketch(words(75, 100)))
    assert (found.rows, found.share) == (25, 0.25)
    # of 100 + 100 - 25 rows' shingles, 25 are shared: Jaccard 25 / 175 = 0.143
    assert found.likeness == pytest.approx(25 / 175, abs=0.09)


def test_a_set_is_all_like_itself_and_not_like_another():
    one, two = sketch(words(0, 50)), sketch(words(50, 50))
    assert overlap(one, one).likeness == overlap(one, one).share == 1.0
    assert overlap(one, two).rows == 0
    assert overlap(one, two).likeness < 0.05


def test_case_and_white_space_do_not_hide_a_row_but_name_another_data_set():
    one, two = sketch(["What is  2 + 2?"]), sketch(["what is 2 + 2? "])
    assert overlap(one, two).share == 1.0
    assert one.digest != two.digest


def test_a_reworded_row_is_not_shared_but_alike():
    rows = words(0, 50)
    reworded = [row + " please" for row in rows]
    found = overlap(sketch(rows), sketch(reworded))
    assert found.rows == 0
    # 16 runs of five words stay, one is new: 16 / 17 = 0.94
    assert found.likeness == pytest.approx(16 / 17, abs=0.09)


def test_the_name_covers_every_row_and_their_order():
    # sha256 over the two rows' digests, one a line
    lines = "\n".join(digest_bytes(row) for row in (b"a", b"b")).encode()
    assert sketch(["a", "b"]).digest == digest_bytes(lines)
    assert sketch(["b", "a"]).digest != sketch(["a", "b"]).digest
    assert sketch(["a", "b", "b"]).num_rows == 3
    assert len(sketch(["a", "b", "b"]).rows) == 2


def test_an_empty_set_shares_nothing():
    empty = sketch([])
    assert overlap(empty, sketch(["a"])).share == 0.0
    assert overlap(sketch([" "]), empty).likeness == 0.0


def test_a_sketch_is_stored_and_read_and_other_bytes_are_refused(store):
    made = sketch(words(0, 3))
    assert read_sketch(store, put_sketch(store, made)) == made
    for data in (b"{}", b"[", b"\x00"):
        with pytest.raises(LineageError):
            read_sketch(store, store.put_bytes(data))
