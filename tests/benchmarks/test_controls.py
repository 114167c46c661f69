"""The figures of the comparison with controls, by hand."""

import json

import pytest

from benchmarks.controls.__main__ import PREDICTIONS
from benchmarks.controls.tables import judged, methods_of, normalized, summary
from tasks.contracts.controls import Control


def rows(**scores):
    """Return outcomes of two prompts in one domain, for each method a score of each prompt."""
    return {
        method: {
            "add": [
                {"prompt": f"p{place}", "scores": [value], "lengths": [3]}
                for place, value in enumerate(values)
            ]
        }
        for method, values in scores.items()
    }


FIRST = rows(fork_point=[0, 0], teacher=[1, 1], student=[1, 0.5], ties=[0.5, 0])
SECOND = rows(fork_point=[0, 0], teacher=[0.5, 0.5], student=[0.5, 0.25], ties=[0.5, 0.25])
COST = {"tokens_sampled": 10, "tokens_trained": 20, "processor_seconds": 1.5}
COSTS = [{"student": COST, "ties": COST}, {"student": COST, "ties": {**COST, "tokens_sampled": 20}}]


def test_a_normalized_score_is_a_share_of_the_teachers_gain():
    assert normalized(FIRST, "student", "add") == 0.75
    assert normalized(SECOND, "ties", "add") == 0.75


def test_methods_are_averaged_over_seeds_and_compared_prompt_by_prompt():
    found = summary([FIRST, SECOND], COSTS)
    assert list(found) == methods_of([FIRST, SECOND]) == ["student", "ties"]
    assert found["ties"]["scores"] == {"add": 0.3125}  # (0.25 + 0.375) / 2
    assert found["ties"]["normalized"]["mean"] == 0.5  # (0.25 + 0.75) / 2
    assert found["ties"]["normalized"]["seeds"] == 2
    # 0.5, 0.5, 0 and 0 over two prompts of two seeds.
    assert found["ties"]["less_than_mopd"]["mean"] == 0.25
    assert found["student"]["less_than_mopd"]["mean"] == 0
    assert found["ties"]["cost"]["tokens_sampled"] == 15


def test_a_single_seed_has_no_interval_over_seeds():
    assert summary([FIRST], COSTS[:1])["student"]["normalized"] == {"mean": 0.75, "seeds": 1}


@pytest.mark.parametrize(("limits", "holds"), [([0.4, 0.5], True), ([0.51, 1.0], False)])
def test_a_prediction_holds_if_the_score_lies_in_it(limits, holds):
    found = summary([FIRST, SECOND], COSTS)
    (row,) = judged([{"method": "ties", "normalized": limits, "why": ""}], found)
    assert (row["found"], row["holds"]) == (0.5, holds)


def test_every_method_was_predicted():
    predicted = {each["method"] for each in json.loads(PREDICTIONS.read_text())}
    assert predicted == {"student", *(control.value for control in Control)}
