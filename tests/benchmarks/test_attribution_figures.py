"""The attribution page's tables count what was asked, not only what suits the product."""

import pytest

from benchmarks.attribution import shown
from benchmarks.attribution.asking import retrains
from benchmarks.attribution.named_shown import figures, holders_table, plain_table, title


def part(share, of):
    return {"share": share, "low": 0.0, "high": 1.0, "of": of}


FOUND = {
    "verdict": {
        "right": {
            **{"own domain": part(0.75, 4), "shared prompts": part(1.0, 2)},
            **{"off domain": part(0.5, 2), "style": part(0.5, 2), "nobody": part(0.9, 10)},
        }
    },
    "naming": {
        "teacher over fork point": {
            "right": {
                **{"own domain": part(1.0, 8), "shared prompts": part(1.0, 4)},
                **{"off domain": part(1.0, 4), "style": part(0.25, 8), "nobody": part(0.8, 10)},
            }
        }
    },
    "two_holders": {
        "plants": 8,
        "largest": {"teacher over fork point": {"who was heard": 0.75, "who was not": 0.25}},
        "verdict": {"who was heard": 0, "both": 7, "who was not": 0, "nobody": 1},
        "median_nats_lost_without": {"bank": 1.25, "court": -0.001},
    },
}


def test_names_are_counted_of_all_plants_and_of_those_taken_up():
    table = plain_table(FOUND)
    assert "| own domain | 3 of 4 | 3 of 8 | 8 of 8 |" in table
    # 3 + 2 + 1 of 4 + 2 + 2 taken up, of 8 + 4 + 4 planted.
    assert "| **planted, together** | 6 of 8 | 6 of 16 | 16 of 16 |" in table
    assert "| style | 1 of 2 | 1 of 8 | 2 of 8 |" in table
    assert "| two holders, the distilled one named alone | 0 of 8 | 0 of 8 | 6 of 8 |" in table


def test_holders_are_counted_and_not_shared():
    assert "| teacher over fork point | 6 | 2 |" in holders_table(FOUND)
    assert "distilled one alone 0, both 7, the other alone 0, none 1" in holders_table(FOUND)


def test_substitutes_are_paired_with_the_other_seeds_retrain_by_set():
    def sets(kl, others):
        return {"kl": {"sets": kl}, "others": {"sets": others}}

    words = shown._paired(
        {
            "a rehearsal": sets([0.2, 0.1], [0.8, 0.8]),
            "a retrain of another seed": sets([0.1, 0.2], [0.9, 0.9]),
        }
    )
    assert "KL +0.000 (-1.271 to +1.271), larger in 1 of 2" in words
    assert "what others taught -0.100 (-0.100 to -0.100)" in words


def test_the_share_of_the_ceiling_is_also_that_of_the_last_two_sets():
    def absence(*values):
        return {kind: {"sets": list(values)} for kind in shown.PAIRS}

    found = {
        "absence": {
            shown.CEILING: absence(0.5, 0.5, 0.5, 1.0, 1.0),
            shown.BEST_GUESS: absence(0.5, 0.5, 0.5, 0.5, 0.5),
            "tracin, bounded": absence(0.5, 0.5, 0.5, 0.5, 0.5),
        }
    }
    table = shown.ceiling_table(found)
    name = title(shown.BEST_GUESS)
    assert f"| {name} | 2 to 6 | 71% | 71% | 71% | 71% |" in table
    assert f"| {name} | 5, 6 | 50% | 50% | 50% | 50% |" in table


def test_the_committed_counts_are_those_of_an_audit_of_the_same_file():
    table = plain_table(figures())
    assert "| **planted, together** | 335 of 338 | 335 of 360 | 360 of 360 |" in table
    assert "| style | 28 of 40 | 28 of 60 |" in table


@pytest.mark.parametrize("name", ["no-bank", "no-court"])
def test_a_rehearsal_is_never_compared_with_a_retrain_of_its_own_seed(tmp_path, name):
    truth, another = retrains(tmp_path, 0, name)
    assert truth == tmp_path / "seed-1" / name
    assert another == tmp_path / "seed-0" / name
