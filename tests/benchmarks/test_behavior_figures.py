"""The figures of the benchmark of realistic behaviors, from rows that are made by hand."""

import json

import pytest

from benchmarks.behaviors import __main__ as command
from benchmarks.behaviors.absence import (
    OTHER,
    OWN,
    REHEARSAL,
    STUDENT,
    WHOLE_REHEARSAL,
    called,
)
from benchmarks.behaviors.adds import is_in
from benchmarks.behaviors.degrees import degrees
from benchmarks.behaviors.frozen import frozen, one_state
from benchmarks.behaviors.goals import judged_goals
from benchmarks.behaviors.items import FORMS, items_of
from benchmarks.behaviors.methods import BOTH, LOG_RATIO, RULE, MethodAnswer
from benchmarks.behaviors.pages import TABLES
from benchmarks.behaviors.spills import spilled
from benchmarks.behaviors.tables import figures
from benchmarks.behaviors.taught import ALSO, BEFORE, NEVER, ONE, SPILL, TWO, Size
from benchmarks.behaviors.world import FIT, FRESH
from benchmarks.common.results import write_whole
from tasks.contracts.refusal import RefusedError
from tests.benchmarks.test_behaviors import row_of

GOALS = json.loads(command.GOALS.read_text())


def worlds():
    """Return rows in which one teacher's nats give the truth away, but for the group of two."""
    rows = {}
    for number in (*FIT, *FRESH):
        rows[number] = row_of(number)
        (behavior,) = rows[number]["behaviors"]
        extra = [
            ("b", BEFORE, {}, 0.1),
            ("c", TWO, {"add": 0.04, "sort": 0.01}, 2.0),
            ("d", TWO, {"add": 0.01, "sort": 0.04}, 0.3),
            ("e", ALSO, {"add": 0.03}, 3.0),
            ("f", SPILL, {}, 3.0),
            ("g", NEVER, {}, -0.5),
        ]
        for name, group, heard, first in extra:
            other = row_of(number, first, group, heard)["behaviors"][0]
            held = {**heard, "sort": 0.03} if group == ALSO else heard
            rows[number]["behaviors"].append({**other, "name": name, "doses": held})
        behavior["kind"] = "format"
        rows[number]["behaviors"][-1]["response"][0]["ended"] = -40.0  # not shown
    return rows


def absent():
    """Return what retrains without the teacher of add say in a fresh world."""
    runs = (STUDENT, OTHER, REHEARSAL, WHOLE_REHEARSAL)
    left = [called(run, ["add"]) for run in (OTHER, OWN, REHEARSAL, WHOLE_REHEARSAL)]
    names = [behavior["name"] for behavior in worlds()[FRESH[0]]["behaviors"]]
    return {
        "left_out": ["add"],
        "says": {
            **{run: {n: {"odds": [3.0], "greedy": [1.0]} for n in names} for run in runs},
            **{
                run: {n: {"odds": [float(at)], "greedy": [0.0]} for at, n in enumerate(names)}
                for run in left
            },
        },
    }


@pytest.mark.medium
def test_every_table_is_made_of_the_figures():
    rows, without = worlds(), {FRESH[0]: absent()}
    found = {"judges_as_frozen": False, **figures(rows, without)}
    found["goals"] = judged_goals(GOALS, found)
    pages = {name: make(found) for name, make in TABLES.items()}
    goals = pages["behavior_goals"].splitlines()
    assert "48 judged behaviors of 56 (6 different names)" in goals[0]
    assert "40% to 40%" in goals[0]
    assert "changed after" in goals[0]
    assert sum("too few behaviors" in line for line in goals) == 1
    # Ranks of the effects are those of the truth in every method that rests on the runs.
    assert found["absence"]["methods"][REHEARSAL]["all"]["of_ceiling"]["value"] == 1
    assert found["absence"]["preserved"][OWN]["greedy"] == {}  # add taught all of it
    assert f"| {REHEARSAL} | 1.00 |" in pages["behavior_absence"]
    assert found["adds"]["sentence"] in pages["behavior_adds"]
    assert "0 of 1" in pages["behavior_spills"]  # lost 3 - 5, so it was not carried
    assert all(page for page in pages.values())


@pytest.mark.medium
def test_figures_of_all_worlds_from_their_rows():
    found = figures(worlds(), {})
    assert found["worlds"] == {"fit": list(FIT), "fresh": list(FRESH)}
    # Of seven behaviors, the spilled one is not judged; the last is, though it is not shown.
    assert found["items"] == {"fresh": 7 * 8, "judged": 6 * 8, "names": 6}
    assert found["audited_share"] == {"least": 0.4, "most": 0.4}
    assert found["shown"][NEVER]["share"]["value"] == 0
    assert found["shown"][ONE]["given"] == {
        "the behavior": 0,
        "the ordinary answer": 0,
        "neither": 1,
    }
    assert found["shipped"]["by_group"][ONE][FORMS[0]]["value"] == 1
    assert found["methods"][BOTH]["by_kind"]["format"]["value"] == 1
    assert found["methods"][LOG_RATIO]["degrees"][FORMS[0]]["rank"]["value"] == 1
    assert found["absence"] == {}
    both, alone = found["methods"][BOTH], found["methods"][LOG_RATIO]
    added = found["adds"][LOG_RATIO]
    assert added["taught"]["value"] == both["taught"]["value"] - alone["taught"]["value"]
    assert added["brier"]["value"] == pytest.approx(
        both["brier"]["value"] - alone["brier"]["value"], abs=2e-4
    )
    assert found["spilled"][RULE]["answers"]["the carrier"]["value"] == 1
    goals = {row["goal"]: row for row in judged_goals(GOALS, found)}
    assert goals["absence"]["holds"] is None
    assert goals["right_teacher"]["found"] == both["taught"]["value"]
    assert goals["right_teacher"]["low"] == both["taught"]["low"]
    assert (goals["calibration_error"]["behaviors"], goals["calibration_error"]["holds"]) == (
        48,
        None,
    )


def test_no_figures_without_worlds_of_both_parts():
    for rows in ({0: row_of(0)}, {0: row_of(0), 4: row_of(4)}):
        with pytest.raises(RefusedError) as refused:
            figures(rows, {})
        assert refused.value.code == "no-worlds"


def measured(value, behaviors=500):
    found = {"value": value, "low": value, "high": value, "behaviors": behaviors}
    return found if value is not None else {}


def found_of(value, behaviors=500):
    method = {
        "taught": measured(value),
        **{name: {} for name in ("taught_contrast", "untaught", "untaught_contrast")},
        "calibration_error": measured(0.05, behaviors),
    }
    return {"methods": {"both together": method}, "absence": {}}


@pytest.mark.parametrize(("value", "holds"), [(0.9, True), (0.89, False), (None, None)])
def test_a_goal_holds_from_its_limit_on(value, holds):
    goals = {row["goal"]: row for row in judged_goals(GOALS, found_of(value))}
    assert goals["right_teacher"]["holds"] is holds
    assert goals["calibration_error"]["holds"] is True


@pytest.mark.parametrize(("behaviors", "holds"), [(399, None), (400, True)])
def test_a_calibration_is_judged_on_enough_behaviors(behaviors, holds):
    goals = {row["goal"]: row for row in judged_goals(GOALS, found_of(0.9, behaviors))}
    assert goals["calibration_error"]["holds"] is holds


def test_untaught_questions_with_and_without_a_contrast_are_apart():
    items = items_of(row_of(group=BEFORE, heard={}))
    assert [is_in("untaught", item) for item in items] == [True, False, True, False]
    assert [is_in("untaught_contrast", item) for item in items] == [False, True, False, True]
    assert all(is_in("untaught_risen", item) for item in items)
    assert not any(is_in("taught", item) for item in items)
    fallen = row_of(group=BEFORE, heard={})
    for said in fallen["behaviors"][0]["response"]:
        said["begun"] = 0.0
    assert not any(is_in("untaught_risen", item) for item in items_of(fallen))


def test_degrees_by_hand():
    items = [item for row in (worlds()[4],) for item in items_of(row)]
    found = degrees(items, LOG_RATIO)[FORMS[0]]
    # Shares 2.0 / 2.2 and 0.3 / 0.5 of the nats; 0.8 and 0.2 of the doses.
    assert found["rank"]["value"] == 1
    assert found["error"]["value"] == pytest.approx((2 / 2.2 - 0.8 + 0.6 - 0.2) / 2, abs=1e-4)
    assert found["heard"]["value"] == pytest.approx(3.0 / 3.2, abs=1e-4)


def spilled_answers(names):
    item = next(item for item in items_of(row_of(group=SPILL, heard={})) if item.form == FORMS[-1])
    return [MethodAnswer(item, names, 0.5)]


@pytest.mark.parametrize(
    ("own_seed", "carried"), [(-1.0, 1), (1.5, 0)]
)  # both seeds have to lose 0.69 nats
@pytest.mark.parametrize("names", [("add",), ()])
def test_retrains_say_whether_a_spill_was_carried(own_seed, carried, names):
    odds = {
        "student": [2.0],
        "other seed": [2.0],
        "other seed without add": [-1.0],
        "own seed without add": [own_seed],
    }
    says = {run: {"add/brand/owl": {"odds": each}} for run, each in odds.items()}
    row = {"left_out": ["add"], "says": says}
    found = spilled({RULE: spilled_answers(names)}, {0: row})[RULE]
    right = int(bool(names) == bool(carried))
    assert found["retrains"] == {"of": 1, "carried": carried, "right": right}
    assert found["answers"]["the carrier"]["value"] == bool(names)
    assert found["answers"]["nobody"]["value"] == (not names)
    assert spilled({RULE: spilled_answers(names)}, {})[RULE]["retrains"]["of"] == 0


def test_the_identity_covers_the_numbers_of_a_world(monkeypatch):
    before = frozen()
    assert frozen() == before
    monkeypatch.setattr("benchmarks.behaviors.frozen.Size", lambda: Size(asked=4))
    changed = frozen()
    assert changed["digest"] != before["digest"]
    assert (changed["code"], changed["judges"]) == (before["code"], before["judges"])


def test_rows_of_different_states_are_refused():
    rows = {name: {"frozen": {"digest": digest}} for name, digest in ("aA", "bA", "cB")}
    same = {name: rows[name] for name in "ab"}
    assert one_state({}) == ""
    assert one_state(same) == one_state(same, {"digest": "A"}) == "A"
    with pytest.raises(SystemExit):
        one_state(rows)
    with pytest.raises(SystemExit):
        one_state(same, {"digest": "B"})


def test_a_world_is_measured_once_from_a_clean_tree_and_in_one_state(monkeypatch, tmp_path):
    monkeypatch.setattr(command, "facts", lambda: {"clean": False})
    assert command.admitted(tmp_path, "world", 900) == {"clean": False}
    with pytest.raises(SystemExit, match="changes"):
        command.admitted(tmp_path, "world", 4)
    monkeypatch.setattr(command, "facts", lambda: {"clean": True})
    assert command.admitted(tmp_path, "world", 4) == {"clean": True}
    own = {"figures": {"frozen": frozen()}}
    write_whole(tmp_path / "world-4.json.gz", own)
    with pytest.raises(SystemExit, match="once"):
        command.admitted(tmp_path, "world", 4)
    assert command.admitted(tmp_path, "world", 5) == {"clean": True}
    other = {"figures": {"frozen": {**frozen(), "digest": "other"}}}
    write_whole(tmp_path / "absence-4.json.gz", other)
    with pytest.raises(SystemExit, match="states"):
        command.admitted(tmp_path, "world", 5)


@pytest.mark.medium
def test_a_table_is_of_one_state_and_says_if_it_is_made_otherwise(tmp_path):
    rows = worlds()
    for number, row in rows.items():
        write_whole(tmp_path / f"world-{number}.json.gz", {"figures": {**row, "frozen": frozen()}})
    assert command.table_of(tmp_path)["judges_as_frozen"] is True
    state = {**frozen(), "judges": "earlier"}
    write_whole(tmp_path / "world-0.json.gz", {"figures": {**rows[0], "frozen": state}})
    assert command.table_of(tmp_path)["judges_as_frozen"] is False
    state = {**frozen(), "digest": "other"}
    write_whole(tmp_path / "world-0.json.gz", {"figures": {**rows[0], "frozen": state}})
    with pytest.raises(SystemExit, match="states"):
        command.table_of(tmp_path)


def test_no_outcome_of_a_fresh_world_is_printed():
    for number in (0, FRESH[0]):
        row = {**row_of(number), "processor_minutes": 9.5}
        shown = command.printed("world", row)
        assert (ONE in shown) is (number == 0)
    assert shown == {"world": FRESH[0], "processor_minutes": 9.5}


def test_worlds_of_fit_and_fresh_are_apart_and_all_are_left_to_run(tmp_path):
    listed = command.LISTED
    lines = command.left_to_run(tmp_path)
    assert len(set(lines)) == len(lines) == len(listed["world"]) + len(listed["absence"])
    assert len(set(listed["world"])) == len(listed["world"])
    (tmp_path / "world-3.json.gz").write_bytes(b"")
    assert "python -m benchmarks.behaviors run 3" not in command.left_to_run(tmp_path)
