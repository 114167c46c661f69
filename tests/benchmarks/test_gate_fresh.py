"""The fresh family: its cases, what is frozen, the predictors, and the command."""

import gzip
import json
import math

import pytest

from benchmarks.common.checkout import RESULTS
from benchmarks.common.results import write_whole
from benchmarks.gate.fresh import __main__ as command
from benchmarks.gate.fresh import frozen, today
from benchmarks.gate.fresh.family import (
    DOMAINS,
    HEALTHY,
    SEEDS,
    Group,
    case_named,
    cases,
    group_of,
)
from benchmarks.gate.fresh.predictors import PREDICTORS, REGRESSION, Measured, by_rule, risks
from benchmarks.gate.regression import Prediction
from tasks.gate.measured import SwapRow
from tasks.model.relation import Displacement
from tests.support.measures import measured

PREDICTION = Prediction(score=0.7, low=0.5, high=0.9, outside=())


def test_the_family_is_large_enough_and_mostly_healthy():
    family = list(cases())
    healthy = [case for case in family if case.group in HEALTHY]
    assert len(family) >= 48
    assert len(healthy) >= 32
    assert {case.domain for case in healthy} == set(DOMAINS)
    assert len({case.name for case in family}) == len(family)
    assert {case.seed for case in family if case.group is Group.OWN} == set(SEEDS)
    for domain in DOMAINS:
        assert {case.seed for case in healthy if case.domain == domain} == set(SEEDS)


def test_no_case_was_used_before():
    earlier = json.loads(gzip.decompress((RESULTS / "gate_rows.json.gz").read_bytes()))["cases"]
    assert not {row["seed"] for row in earlier.values()} & set(SEEDS)
    conventions = {case.kind for case in cases() if case.group is Group.CONVENTION}
    assert not conventions & {row["kind"] for row in earlier.values()}


def test_a_case_is_found_by_its_name():
    for case in cases():
        assert case_named(case.name) == case
    with pytest.raises(SystemExit):
        case_named("as-lambda-code-0")
    assert group_of("swapped") is Group.BROKEN
    with pytest.raises(SystemExit):
        group_of("as lambda")


def test_a_demo_of_the_family_cannot_be_tried(tmp_path):
    with pytest.raises(SystemExit):
        command.main(["trial", "swapped", "math", str(SEEDS[0]), "--homes", str(tmp_path)])


def test_the_identity_of_the_gate_covers_its_thresholds(monkeypatch):
    before = frozen.frozen_gate()
    assert frozen.frozen_gate() == before
    other = frozen.GateSettings(clear=3.0)
    monkeypatch.setattr(frozen, "GateSettings", lambda: other)
    changed = frozen.frozen_gate()
    assert changed["digest"] != before["digest"]
    assert changed["code"] == before["code"]


def test_rows_of_different_gates_are_refused():
    rows = [{"case": name, "gate": {"digest": digest}} for name, digest in ("aA", "bA", "cB")]
    assert frozen.one_gate(rows[:2]) == "A"
    assert frozen.one_gate([]) == ""
    assert frozen.one_gate(rows[:2], {"digest": "A"}) == "A"
    with pytest.raises(SystemExit):
        frozen.one_gate(rows)
    with pytest.raises(SystemExit):
        frozen.one_gate(rows[:2], {"digest": "B"})


def of(reading=None, scores=None, **more):
    return Measured(measured(reading, scores, **more), PREDICTION, 0.4)


MOVED = Displacement(relative=0.25, cosines={"code": 0.5, "agent": 0.1})


def test_each_predictor_is_what_its_name_says():
    found = risks(of({"kl": 0.3, "forward_kl": 0.2}, displacement=MOVED))
    assert set(found) == set(PREDICTORS)
    assert found[REGRESSION] == pytest.approx(0.3)
    assert (found["reverse KL"], found["forward KL"]) == (0.3, 0.2)
    assert found["right answers unlikely"] == 0.1
    assert (found["early KL"], found["early minus late KL"]) == (0.0, -0.4)
    assert found["task-vector cosine"] == pytest.approx(-0.3)
    assert found["task-vector length"] == 0.25
    assert found["top-16 overlap"] == -0.75
    assert found["protocol competence"] == 0.4


def test_what_was_not_measured_is_the_largest_risk():
    found = risks(Measured(measured({"kl": math.nan}, swap=None), None, None))
    assert found[REGRESSION] == 1.0
    missing = {"reverse KL", "right answers unlikely", "task-vector cosine", "task-vector length"}
    assert {name for name, value in found.items() if value == math.inf} == {
        *missing,
        "protocol competence",
    }


SUSPECT = SwapRow(tokens=9, log_likelihood={"math": -2.0, "code": -1.0}, errors={}, suspect="code")


@pytest.mark.parametrize(
    ("scores", "more", "risk"),
    [
        ({"difference": 0.11, "error": 0.05}, {}, 0.0),
        ({"difference": 0.10, "error": 0.05}, {}, 1.0),  # two errors ahead is not more than two
        ({}, {"swap": SUSPECT}, 1.0),
        ({}, {"swap": None}, 0.0),
    ],
)
def test_the_rule_has_two_tests(scores, more, risk):
    assert by_rule(of(scores=scores, **more)) == risk


def test_a_run_needs_a_clean_tree_and_runs_a_case_once(monkeypatch, tmp_path):
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    monkeypatch.setattr(command, "facts", lambda: {"clean": False})
    name = next(cases()).name
    with pytest.raises(SystemExit, match="changes"):
        command.main(["run", name])
    monkeypatch.setattr(command, "facts", lambda: {"clean": True})
    (tmp_path / f"{name}.json").write_text("{}")
    with pytest.raises(SystemExit, match="once"):
        command.main(["run", name])
    assert list(tmp_path.iterdir()) == [tmp_path / f"{name}.json"]


def test_cases_that_are_left_are_listed(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    names = [case.name for case in cases()]
    (tmp_path / f"{names[0]}.json").write_text("{}")
    command.main(["list", "--left"])
    assert capsys.readouterr().out.split() == names[1:]


def test_a_table_is_made_of_the_rows_of_one_gate(monkeypatch, tmp_path):
    folder = tmp_path / "gate_fresh"
    monkeypatch.setattr(command, "FOLDER", folder)
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr(today, "FILE", tmp_path / "reliability.json")
    monkeypatch.setattr(command, "facts", lambda: {"clean": True})

    def keep(name, digest, normalized):
        merge = {"start": 0.4, "teacher": 0.9, "reference": 0.9, "normalized": normalized}
        figures = {
            **{"case": name, "kind": "own teacher", "domain": "math", "level": 1.0},
            **{"group": Group.OWN.value, "verdict": "fits", "final": "fits", "reasons": []},
            **{"remedy": None, "probe_seconds": 4.0, "expected": {"score": 0.9}},
            **{"risks": dict.fromkeys(PREDICTORS, 0.1), "merges": [merge, merge]},
            **{"gate": {"digest": digest}, "processor_seconds": {"probe": 3.5}},
            "measured": measured().model_dump(),
        }
        write_whole(folder / f"{name}.json", {"figures": figures, "circumstances": {"commit": "c"}})

    with pytest.raises(SystemExit, match="own teacher"):
        command.main(["table"])
    keep("own-teacher-math-3", "sha256:one", 0.9)
    command.main(["table"])
    figures = json.loads((tmp_path / "gate_fresh.json").read_text())["figures"]
    assert (figures["cases"], figures["baseline"], figures["commits"]) == (1, 0.9, ["c"])
    assert len(figures["missing"]) == len(list(cases())) - 1
    none = {"count": 0, "of": 0}
    stated = json.loads((tmp_path / "reliability.json").read_text())
    assert stated == {"lost": 0.85, "found": none, "in_vain": none}
    keep("own-teacher-code-3", "sha256:two", 0.9)
    with pytest.raises(SystemExit, match="different gates"):
        command.main(["table"])
