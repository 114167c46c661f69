"""The figures and tables of the fresh family, by hand."""

import json
import math

import pytest

from benchmarks.common.checkout import RESULTS
from benchmarks.common.results import load
from benchmarks.gate.fresh import tables
from benchmarks.gate.fresh.__main__ import PREDICTIONS
from benchmarks.gate.fresh.calibrated import LEAST_PROJECTION, calibrated_rows
from benchmarks.gate.fresh.family import Group
from benchmarks.gate.fresh.limits import _counted
from benchmarks.gate.fresh.predictors import PREDICTORS, REGRESSION, RULE
from benchmarks.gate.fresh.summary import (
    LOST,
    aucs,
    baseline,
    error_of,
    held,
    judged,
    of_ancestry,
    remedies,
    summary,
)
from tasks.gate.reliability import reliability
from tasks.model import ancestry
from tests.support.measures import OTHER_WORDS, SWAP, measured


def merge(normalized, seed=0, *, teacher=0.9):
    return {
        **{"seed": seed, "start": 0.4, "teacher": teacher, "reference": 0.9},
        **{"student": 0.0, "normalized": normalized, "other_domain": 1.0, "stopped": ""},
    }


def row(case, *normalized, group=Group.CONVENTION, verdict="fits", remedy=None, **more):
    """A case whose teacher gains 0.5; each predictor calls it as risky as ``risk``."""
    risk = more.pop("risk", 0.0)
    teacher = more.pop("teacher", 0.9)
    return {
        **{"case": case, "kind": case, "domain": "math", "level": 1.0, "group": group.value},
        **{"verdict": verdict, "reasons": [], "remedy": remedy, "probe_seconds": 4.0},
        "final": remedy["verdict"] if remedy else verdict,
        "expected": {"score": 1 - risk},
        "processor_seconds": {"probe": 3.5},
        "risks": dict.fromkeys(PREDICTORS, risk),
        "measured": measured(swap=more.pop("swap", SWAP)).model_dump(),
        "merges": [merge(value, seed, teacher=teacher) for seed, value in enumerate(normalized)],
        **more,
    }


OWN = row("own", 0.8, 1.0, group=Group.OWN)


def test_an_outcome_has_an_error_over_merges():
    found = judged(row("a", 0.9, 0.45), baseline([OWN]))
    # 0.9 of 0.9 and 0.45 of 0.9: 1 and 0.5.
    assert (found["share"], found["error"]) == (0.75, 0.25)
    assert (found["lost"], found["ambiguous"]) == (True, True)
    assert math.isnan(error_of([1.0]))
    assert judged(row("b", 0.0, 0.1), 0.9)["ambiguous"] is False
    # 0.9 and 1: both above 0.85.
    assert judged(row("c", 0.81, 0.9), 0.9)["ambiguous"] is False


def test_a_hard_case_is_healthy_and_useful():
    def hard(**more):
        return judged(row("a", 0.9, **more), 0.9)["hard"]

    assert hard()
    assert hard(group=Group.WEIGHTS)
    assert not hard(group=Group.BROKEN)
    assert not hard(group=Group.OWN)
    assert not hard(teacher=0.49)


REMEDY = {"verdict": "fits after remedy", "alone": 0.625, "merges": [merge(0.72), merge(0.9)]}
FAILED = {**REMEDY, "verdict": "does not fit"}
ROWS = [
    OWN,
    row("kept", 0.9, 0.9, risk=0.1),
    row("kept too", 0.9, 0.9, risk=0.5, swap=OTHER_WORDS),
    row("lost", 0.45, 0.45, verdict="fits after remedy", remedy=REMEDY, risk=0.9, swap=OTHER_WORDS),
    row("lost too", 0.0, 0.0, verdict="unknown", remedy=FAILED, risk=0.5, swap=None),
    row("passed", 0.0, 0.0, risk=0.7),
    row("broken", 0.0, 0.0, group=Group.BROKEN, verdict="does not fit", risk=1.0),
]


@pytest.fixture(scope="module")
def figures():
    return summary(ROWS, [])


def test_refusals_and_losses_are_counted_among_hard_cases(figures):
    found = figures
    assert found["counts"]["hard"] == {"cases": 5, "lost": 3}
    assert found["counts"]["easy"] == {"cases": 2, "lost": 1}
    assert found["refused_at_first"]["cases"] == ["lost", "lost too"]
    assert found["false_refusals"]["cases"] == ["lost too"]
    assert found["false_refusals"]["share"] == 0.2
    # Wilson's interval for 1 of 5.
    assert found["false_refusals"]["low"] == pytest.approx(0.0362, abs=1e-4)
    assert found["false_refusals"]["high"] == pytest.approx(0.6245, abs=1e-4)
    assert found["let_through"]["cases"] == ["passed"]


def test_the_auc_is_of_hard_cases_alone_and_apart(figures):
    found = figures["auc"]
    # Lost 0.9, 0.5, 0.7 against kept 0.1, 0.5: 5 pairs in order and a tie.
    assert found["hard"][RULE]["auc"] == round(5.5 / 6, 4)
    assert found["hard"][RULE]["gate_leads"] == 0.0
    assert found["all"][REGRESSION]["auc"] > found["hard"][REGRESSION]["auc"]
    assert aucs([judged(OWN, 0.9)])[REGRESSION]["auc"] is None


def test_todays_verdicts_come_from_the_measurements_alone(figures):
    hard = figures["today"]["hard"]
    assert hard["found"] == {"count": 2, "of": 3}
    assert hard["in_vain"] == {"count": 1, "of": 2}
    assert hard["missed"] == ["passed"]
    ends = figures["today_behind_remedy"]
    assert (ends["to_remedy"], ends["remedied"]) == (3, 2)
    assert (ends["failed"], ends["not_run"]) == (["lost too"], ["kept too"])


def test_the_gates_page_states_the_counts_of_the_committed_result():
    found = load(RESULTS / "gate_fresh.json", {})["figures"]["today"]["hard"]
    stated = reliability().model_dump()
    assert {name: found[name] for name in ("found", "in_vain")} == {
        name: stated[name] for name in ("found", "in_vain")
    }
    assert stated["lost"] == 1 - LOST


def test_a_remedy_recovers_a_share_of_the_loss():
    found = remedies([judged(each, 0.9) for each in ROWS])
    # Losses 0.5 and 1. Alone (0.625 - 0.4) / 0.5 = 0.45 of 0.9 is 0.5: gains of 0 and 0.5.
    assert (found["cases"], found["failed"]) == (2, 1)
    assert found["alone"]["mean"] == pytest.approx(0.5 / 1.5, abs=1e-4)
    # After the merges 0.8 and 1: 0.9 on average, gains of 0.4 and 0.9.
    assert found["after"]["mean"] == pytest.approx(1.3 / 1.5, abs=1e-4)
    assert found["after"]["low"] <= found["after"]["mean"] <= found["after"]["high"]


def test_ancestry_is_counted_with_and_without_the_true_parent():
    def declared(*, true, without, with_it, kinship, projection):
        return {
            **{"true": true, "contradicted_without": without, "contradicted_with": with_it},
            **{"nearer_without": False, "nearer_with": not true},
            **{"kinship": kinship, "projection": projection},
        }

    rows = [
        declared(true=True, without=False, with_it=False, kinship=0.99, projection=1.0),
        declared(true=False, without=False, with_it=True, kinship=0.99, projection=0.9),
        declared(true=False, without=True, with_it=True, kinship=0.5, projection=0.1),
    ]
    found = of_ancestry(rows)
    assert (found["true"], found["false"]) == (1, 2)
    assert (found["without"]["found"], found["with"]["found"]) == (0.5, 1.0)
    assert found["with"]["fingerprint_found"] == 1.0
    assert found["without"]["false_alarms"] == 0.0
    assert (found["auc_projection"], found["auc_fingerprint"]) == (1.0, 0.75)
    assert of_ancestry([])["without"]["found"] is None


def test_a_prediction_is_held_against_its_figure():
    figures = {"auc": {"hard": {"gate": {"auc": 0.9}}}, "none": None}
    both = {"figure": ["auc", "hard", "gate", "auc"], "goal": [0.95, 1], "expected": [0.8, 0.95]}
    (found,) = held([both], figures)
    assert (found["found"], found["goal_met"], found["as_expected"]) == (0.9, False, True)
    (missing,) = held([{**both, "figure": ["none"], "goal": None}], figures)
    assert (missing["goal_met"], missing["as_expected"]) == (None, None)


def test_every_prediction_names_a_figure_of_the_summary(figures):
    predictions = json.loads(PREDICTIONS.read_text())
    found = {each["name"]: each["found"] for each in held(predictions, figures)}
    assert {name for name, value in found.items() if value is None} == {
        "false ancestry found without the true parent",
        "false ancestry found with the true parent",
        "true declarations contradicted",
    }


def test_the_tables_show_a_summary(figures):
    predictions = json.loads(PREDICTIONS.read_text())
    found = {**figures, "missing": ["one"], "predictions": held(predictions, figures)}
    found |= {"commits": ["0123456789"], "gate": f"sha256:{'ab' * 32}"}
    assert "commit `0123456` and of one gate, `abababababab`" in tables.predictions_table(found)
    assert "1 of 8 cases are still to be run" in tables.predictions_table(found)
    assert f"| {tables.title(RULE)} | 0.92 (" in tables.predictors_table(found)
    assert "| lost | 1 | 1 fits after remedy |" in tables.kinds_table(found)
    assert "| 1 | 0.90 | 4 |" in tables.kinds_table(found)
    assert "| 1 of 5 | 0.20 (0.04 to 0.62) |" in tables.remedies_table(found)
    assert "| of a processor |  | at most 3.5 |" in tables.remedies_table(found)
    assert tables.ancestry_table(found).count("\n") == 22


def test_the_calibrated_family_is_shown_with_its_hard_cases_apart():
    rows = list(calibrated_rows())
    hard = [row for row in rows if row["hard"]]
    assert (len(rows), len(hard)) == (92, 46)
    assert sum(row["lost"] for row in rows) == 38
    # As an audit of the same rows found by other code.
    assert aucs(hard)[REGRESSION]["auc"] == pytest.approx(0.966, abs=1e-3)
    assert aucs(hard)["forward KL"]["auc"] == 1.0
    assert LEAST_PROJECTION == ancestry.LEAST_PROJECTION


def test_a_limit_counts_what_is_above_it_and_what_was_not_measured():
    rows = [
        {"lost": lost, "risks": {"reverse KL": nats}}
        for lost, nats in ((True, 0.9), (True, None), (True, 0.5), (False, 0.6), (False, 0.5))
    ]
    assert list(_counted(rows, "reverse KL", 0.5)) == ["2 of 3", "1 of 2"]
