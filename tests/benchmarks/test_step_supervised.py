"""The comparison of a step of SFT with TRL's, on a tiny shape."""

from dataclasses import replace

import pytest

from benchmarks.step import supervised
from benchmarks.step.supervised import SHAPES, drawn, measured


def test_rows_have_the_lengths_of_their_shape():
    shape = SHAPES["real"]
    rows = drawn(shape, 200)
    assert len({row.ids[:24] for row in rows}) == 1
    assert len({row.ids[24] for row in rows}) > 1
    learned = [sum(row.is_response) for row in rows]
    prompts = [len(row.ids) - 24 - part for row, part in zip(rows, learned, strict=True)]
    assert (min(learned), max(learned)) == shape.response
    assert (min(prompts), max(prompts)) == shape.prompt


@pytest.mark.medium
def test_all_sides_learn_the_same_rows(monkeypatch):
    monkeypatch.setattr(supervised, "BATCHES", 2)
    found = measured(replace(SHAPES["demo"], rows=3))
    assert {side: len(seconds) for side, seconds in found["seconds"].items()} == {
        "trl": 2,
        "trl_grouped": 2,
        "ours": 2,
    }
    assert found["largest_gap_of_losses"] < 1e-5
