"""From a student to the rows that it was trained and measured on."""

import json
import re

from tests.support.refusals import provost, refusal
from tests.support.tiny_faculty import NUM_EVALUATION, TEAMS


def data_sets(reference):
    """Return (name, digest, rows, owner, what it is taken as), and the command that is offered."""
    *lines, offered = provost("lineage", "rows", reference).splitlines()
    return [re.split(r" {2,}", line.strip()) for line in lines[1:]], offered.partition(": ")[2]


def test_a_student_leads_to_the_data_sets_of_its_teachers(student, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    found, offered = data_sets("student@released")
    for team in TEAMS:
        mine = [row for row in found if row[3] == f"team-{team}"]
        [evaluation] = [row for row in mine if "evaluation" in row[4]]
        [demonstrations] = [row for row in mine if row[0] == f"{team} demonstrations"]
        assert (evaluation[2], demonstrations[2]) == (str(NUM_EVALUATION), "8")
    command = offered.split()
    assert command[:3] == ["provost", "lineage", "rows"]
    assert json.loads(provost(*command[1:]).splitlines()[0])["messages"]


def test_the_rows_of_a_data_set_are_printed_as_they_are_stored(teachers, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    [row] = [row for row in data_sets("shout@released")[0] if row[0] == "shout demonstrations"]
    every = provost("lineage", "rows", row[1], "--limit", "0").splitlines()
    assert len(every) == 8
    assert {each["messages"][0]["content"] for each in map(json.loads, every)} == {"shout"}
    shown = provost("lineage", "rows", row[1], "--limit", "2").splitlines()
    assert shown[:2] == every[:2]
    assert "2 of 8 rows" in shown[2]


def test_what_has_no_data_is_refused(fork_point):
    assert "descends from no data set" in refusal("lineage", "rows", "fork-point@released")
    assert "unknown name 'shuot'" in refusal("lineage", "rows", "shuot@released")
