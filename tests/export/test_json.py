"""What commands print with --json keeps to the schema that is documented."""

import json
import os

import click
import jsonschema
import pytest
from click.testing import CliRunner

from lineage.registry.registry import Registry
from tests.support.exported_family import take_failure
from tests.support.making import MINE
from tests.support.project_files import ROOT
from workflows.cli import main
from workflows.commands.schemas import EVERY, file_of, schema_of

RUNS = {
    "run teacher",
    "teacher import",
    "run consolidation",
    "run consolidation --dry-run",
    "gate",
    "audit",
    "surgery",
    "demo",
    "runs",
    "compare",
    "run recipe",
    "recipe compare",
}
"""Their documents are tested with what they run: tests/end_to_end/test_summaries.py. `runs` asks
Flyte (tests/hosted/test_runs.py), `compare` needs two students (tests/evaluate/test_compare.py).
Those of recipes are in tests/recipes/test_command.py."""
ASKED = {
    "plans": [],
    "teacher list": [],
    "student list": [],
    "student moves": ["student.general"],
    "student show": ["student@released"],
    "student weights": ["student@1"],
    "teacher show": ["math@1"],
    "lineage ancestors": ["student@1"],
    "lineage descendants": ["math@1"],
    "lineage diff": ["math@1", "code@1"],
    "lineage gc": [],
    "student export": ["student@1", "{folder}"],
    "teacher export": ["math@1", "{folder}"],
    "lineage export": ["math@1", "{folder}"],
    "lineage show": ["student@1"],
    "lineage verify": ["{fork}"],
    "lineage reindex": [],
    "trust show": [],
    "doctor": [],
    "estimate": ["--student", "student@1", "--teachers", "math@1,code@1"],
    "recipe list": [],
}
ACT = {
    *(
        "run foundation",
        "checkpoint import",
        "register",
        "teacher new",
        "teacher lock",
        "teacher keygen",
        "approve",
        "waive",
    ),
    *("teacher recall", "teacher retire", "teacher promote", "student promote"),
    *("student rollback", "lineage promote", "lineage adopt", "lineage keep"),
    *("trust init", "trust publish", "trust endorse"),
}
"""Do something and answer nothing: their exit status says whether it was done."""
ROWS = {"lineage rows"}
"""It prints rows as they are stored, which are JSON."""


def told(command, folder, *more, fork=""):
    words = [word.format(folder=folder, fork=fork) for word in ASKED[command]]
    result = CliRunner().invoke(main, [*command.split(), *words, *more, "--json"])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.medium
@pytest.mark.parametrize("command", ASKED)
def test_what_a_command_prints_is_valid(command, family, tmp_path):
    unused = family.store.blobs.path(family.store.put_bytes(b"nobody uses this"))
    os.utime(unused, (0, 0))
    code, document = told(command, tmp_path / "out", fork=family.fork[1])
    assert code == 0
    jsonschema.validate(document, schema_of(command))
    assert document.get("problems", []) == []
    assert any(value for name, value in document.items() if name != "problems")


@pytest.mark.parametrize("command", EVERY)
def test_the_written_schema_is_of_todays_code(command):
    """Else `python -m workflows.commands.schemas docs/json` writes them again."""
    file = ROOT / "docs" / "json" / file_of(command)
    assert json.loads(file.read_text("utf-8")) == schema_of(command)
    jsonschema.Draft202012Validator.check_schema(schema_of(command))
    assert f"`provost {command}`" in (ROOT / "docs" / "guides" / "json.md").read_text("utf-8")


def test_every_document_is_tested():
    assert EVERY.keys() == ASKED.keys() | RUNS


def leaves(group, context, before=""):
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, context, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def test_every_command_that_answers_has_a_documented_document():
    commands = {command.partition(" --")[0] for command in EVERY}
    assert set(leaves(main, click.Context(main))) == commands | ACT | ROWS
    assert EVERY.keys().isdisjoint(ACT)


@pytest.mark.parametrize("command", ["plans", "teacher list", "student list"])
def test_an_unreadable_file_is_a_problem_with_an_exit_status(command, family, tmp_path):
    family.store.claim(f"{MINE}/registry/teacher.evil/versions/00000001", b"garbage")
    family.store.claim(f"{MINE}/registry/student.evil/versions/00000001", b"garbage")
    code, document = told(command, tmp_path / "out")
    assert code == 1
    assert [problem for problem in document["problems"] if "evil" in problem]


def test_the_list_of_students_names_teachers_that_were_recalled(family, tmp_path):
    [before] = told("student list", tmp_path / "one")[1]["students"]
    assert before["recalled_teachers"] == []
    Registry(family.store).recall("teacher.math", 1, by="lead", reason="leak")
    [after] = told("student list", tmp_path / "two")[1]["students"]
    assert (after["recalled_teachers"], after["status"]) == (["teacher.math@1"], "active")
    assert "math@1 recalled" in CliRunner().invoke(main, ["student", "list"]).output


def test_the_list_of_plans_cuts_a_long_error_that_its_document_has(family, tmp_path):
    take_failure(family, "a field is missing " * 500)
    listed = CliRunner().invoke(main, ["plans"], env={"COLUMNS": "300"}).output
    [error] = [line for line in listed.splitlines() if line.strip().startswith("error")]
    assert len(error) < 400
    [plan] = told("plans", tmp_path)[1]["plans"]
    assert len(plan["error"]) > 9000


def test_plans_of_another_team_are_left_out(family, tmp_path):
    assert len(told("plans", tmp_path, "--team", "math")[1]["plans"]) == 1
    assert told("plans", tmp_path, "--team", "nobody")[1]["plans"] == []
