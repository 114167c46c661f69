"""Differences as the terminal shows them."""

from lineage.graph.diff import Difference
from workflows.commands.tree import folded, short

DIGEST = "sha256:" + "0123456789abcdef" * 4


def rungs(count):
    return [Difference("", f"input ladder[{n}]", f"{n}", f"{n + 100}") for n in range(count)]


def test_a_digest_is_cut_and_nothing_else_is():
    assert short(DIGEST) == "0123456789ab"
    assert short("0.0003") == "0.0003"
    assert short(DIGEST + " #2") == DIGEST + " #2"


def test_a_ladder_is_one_line_and_three_rungs_are_three():
    found = [*rungs(21), Difference("", "owner", "a", "b")]
    assert list(folded(found)) == [
        Difference("", "input ladder[*]", "0 and 20 more", "100 and 20 more"),
        found[-1],
    ]
    assert list(folded(rungs(3))) == rungs(3)
