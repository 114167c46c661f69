"""Runs end with a summary; with --json its document is all that standard output has."""

import json

import jsonschema
import pytest
from click.testing import CliRunner

from tests.support.tiny_faculty import PACKAGE, TEAMS
from workflows.cli import main
from workflows.commands.schemas import schema_of

TEACHERS = ",".join(f"{team}@released" for team in TEAMS)
MERGES = "parameter_average,task_arithmetic"
AGAIN = (
    *("--teachers", TEACHERS, "--mopd-steps", "2", "--gate-prompts-per-domain", "0"),
    *("--controls", MERGES),
)


def ended(command, *options, code=0):
    """Return the document that a run printed, after its schema was asked."""
    result = CliRunner().invoke(main, [*command.split(), *options, "--json"])
    assert result.exit_code == code, result.output
    [line] = result.stdout.splitlines()
    document = json.loads(line)
    jsonschema.validate(document, schema_of(command))
    return document


def test_a_consolidation_ends_with_its_student(student):
    made = ended("run consolidation", *AGAIN)
    assert made["name"] == "student.general@1"
    assert {score["what"] for score in made["scores"]} == set(TEAMS)
    assert {"fork_point", "teacher"} <= made["scores"][0]["against"].keys()
    assert made["report"].endswith("report.html")
    assert made["seconds"] > 0
    later = ended("student show", "student@1")
    differing = {key for key in made if made[key] != later[key]}
    assert differing == {"seconds"}


def test_a_climb_ends_with_its_teacher(teachers, teams_on_path):
    made = ended("run teacher", f"{PACKAGE}.{TEAMS[0]}")
    assert (made["kind"], made["name"]) == ("teacher", f"teacher.{TEAMS[0]}@1")
    assert [score["what"] for score in made["scores"]] == [TEAMS[0]]


def test_a_surgery_ends_with_its_checkpoint(student):
    made = ended("surgery", "student@released", "--without", TEAMS[0])
    assert (made["kind"], made["name"]) == ("surgery", "")
    assert made["weights"]
    assert ["--verify" in command for command in made["next"]].count(True) == 1


def test_an_audit_ends_with_its_answer(student, tmp_path):
    asked = ("--prompt", "abcd", "--response", "dcba", "--out", str(tmp_path / "out"))
    made = ended("audit", "student@released", *asked)
    assert set(TEAMS) <= {score["what"] for score in made["scores"]}
    assert made["report"] == str(tmp_path / "out" / "report.html")


@pytest.mark.medium
def test_a_gate_ends_with_its_verdict(teachers, tmp_path):
    options = ("--teachers", "shout@1,whisper@1", "--gate-prompts-per-domain", "8")
    made = ended("gate", *options, "--out", str(tmp_path / "out"), code=1)
    assert all(team in made["verdict"] for team in TEAMS)
    [remedied] = made["next"]
    assert remedied.endswith("--on-misfit remedy")
    assert made["warnings"]


def test_without_json_the_end_names_the_next_commands(student):
    result = CliRunner().invoke(main, ["run", "consolidation", *AGAIN])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert any(line.startswith("took ") for line in lines)
    assert next(line for line in lines if line.startswith("next ")).endswith("student.general@1")
