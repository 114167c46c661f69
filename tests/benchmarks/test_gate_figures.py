"""Figures of the gate's page that no cap, count without interval or chosen case may hide."""

import pytest

from benchmarks.common.checkout import RESULTS
from benchmarks.common.results import load
from benchmarks.gate import tables
from benchmarks.gate.costs import probe_cells
from benchmarks.gate.fresh.tables import SPECTRA, _ancestry_now, _of, ancestry_table, recovered
from benchmarks.gate.fresh.uncapped import Warmed, shown, warmed


def test_mopd_that_takes_from_a_warmed_up_student_is_seen_above_the_cap():
    found = [
        Warmed("a", teacher=0.4, without=0.0, alone=0.5, merged=0.4),
        Warmed("b", teacher=0.4, without=-0.2, alone=0.6, merged=0.6),
    ]
    table = shown(found)
    assert "| warm-up alone | 0.550 | 0.500 | 0.600 |" in table
    assert "| warm-up and MOPD | 0.500 | 0.400 | 0.600 |" in table
    # Changes -0.1 and 0: mean -0.05, and half a width of 12.7062 * 0.05.
    assert "changed the score by -0.050 (-0.685 to +0.585)" in table
    assert "lower in 1 of 2 cases, at worst by 0.100 (a)" in table


def test_the_uncapped_cases_are_those_of_the_recovered_share():
    figures = load(RESULTS / "gate_fresh.json", {})["figures"]
    found = list(warmed(figures["rows"]))
    assert len(found) == figures["remedies"]["cases"] == 16
    assert sum(each.merged < each.alone - 1e-9 for each in found) == 11


def test_an_interval_without_width_is_not_printed_as_one():
    assert recovered({"mean": 1.0, "low": 1.0, "high": 1.0}) == "1.00, every case at the cap"
    assert recovered({"mean": 0.9, "low": 0.8, "high": 1.0}) == "0.90 (0.80 to 1.00)"


def test_a_count_of_cases_has_wilsons_interval():
    # As statsmodels and Wilson (1927) have it for 17 of 20.
    assert _of({"count": 17, "of": 20}) == "17 of 20: 0.85 (0.64 to 0.95)"


def test_probes_above_the_goal_are_counted():
    assert probe_cells([2.0, 31.0, 30.0]) == (3, "2.0", "30.0", "31.0", 1)


def declared(*, true, refused, doubtful, nearer):
    keys = ("contradicted_without", "contradicted_with", "nearer_without", "nearer_with")
    return {"true": true, "doubtful": doubtful} | dict(
        zip(keys, (refused, refused, nearer, nearer), strict=True)
    )


def test_a_refused_ancestry_is_counted_apart_from_one_that_is_warned_of():
    rows = [
        declared(true=False, refused=True, doubtful=False, nearer=True),
        declared(true=False, refused=False, doubtful=True, nearer=False),
        declared(true=True, refused=False, doubtful=False, nearer=True),
    ]
    found = list(_ancestry_now({"case": "ancestry-3", "rows": rows}))
    assert [(row[1], row[2], row[3]) for row in found[:3]] == [
        ("**today's gate**, refused, demo 3", "0.50 (1 of 2)", "0.00 (0 of 1)"),
        ("**today's gate**, refused or warned of, demo 3", "1.00 (2 of 2)", "0.00 (0 of 1)"),
        ("intrinsic fingerprint (2507.03014), demo 3", "0.50 (1 of 2)", "1.00 (1 of 1)"),
    ]


def test_a_method_that_rows_lack_is_not_shown_as_run():
    row = declared(true=False, refused=True, doubtful=False, nearer=True)
    rows = [row, {**row, "true": True}]
    old = [each[1] for each in _ancestry_now({"case": "ancestry-3", "rows": rows})]
    keys = {"spectrally_nearer_without": False, "spectrally_nearer_with": True}
    new = [dict(each, **keys) for each in rows]
    shown = [each[1:4] for each in _ancestry_now({"case": "ancestry-3", "rows": new})]
    assert not any(SPECTRA in method for method in old)
    assert (f"{SPECTRA}, demo 3", "0.00 (0 of 1)", "0.00 (0 of 1)") in shown
    assert (f"{SPECTRA}, demo 3", "1.00 (1 of 1)", "1.00 (1 of 1)") in shown


def test_the_page_prints_what_is_refused_without_the_true_parent():
    figures = load(RESULTS / "gate_fresh.json", {})["figures"]
    table = ancestry_table(figures)
    assert "refused, demo 3 | 0.50 (154 of 308)" in table
    assert "refused, demo 4 | 0.31 (75 of 240)" in table


@pytest.fixture(scope="module")
def rows():
    return load(RESULTS / "gate_rows.json.gz", {})


def test_a_recovered_share_has_an_interval_where_cases_are_enough():
    pairs = [(0.0, 1.0)] * 4 + [(0.5, 0.5)] * 4
    # Losses 4 + 2, of which 4 are recovered.
    assert tables._recovery("warm-up", pairs).startswith("| warm-up | 8 | 0.25 | 0.75 | 67% (")
    assert tables._recovery("delta", pairs[:2]) == "| delta | 2 | 0.00 | 1.00 | 100% | 2 of 2 |"


def test_cases_without_a_remedy_are_named(rows):
    page = "\n".join(tables._cured(rows))
    assert "The 14 warmed up had lost 0.097 to 1.00." in page
    assert "SFT teacher/code/2 (0.095)" in page


def test_the_case_that_chose_the_warm_up_is_left_out_of_a_row(rows):
    row = next(line for line in tables._cured(rows) if "strength was chosen on" in line)
    assert row.split(" | ")[1] == "13"
    assert tables.CHOSEN_ON in tables._pairs(rows)["warm-up"]
