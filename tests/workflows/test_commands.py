"""The command ``provost`` before it has anything to work on: quick, complete, and plain."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from workflows.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]
HELP = """
import json, sys
from workflows.cli import main
try:
    main(["--help"])
except SystemExit as end:
    print(json.dumps({"code": end.code, "modules": sorted(sys.modules)}))
"""


def test_help_lists_every_command_and_imports_none_of_them():
    run = subprocess.run([sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True)
    *lines, last = run.stdout.splitlines()
    told = json.loads(last)
    assert told["code"] == 0
    for name, (_, text) in COMMANDS.items():
        assert any(line.split()[:1] == [name] and text in line for line in lines)
    loaded = {module.partition(".")[0] for module in told["modules"]}
    assert not loaded & {"flytekit", "rich", "torch", "transformers", "mlflow", "pydantic", "tasks"}
    modules = {target.partition(":")[0] for target, _ in COMMANDS.values()}
    assert not modules & set(told["modules"])


@pytest.mark.medium
def test_a_command_leaves_no_temporary_folder(home, tmp_path):
    code = "import flytekit, workflows.cli as c; c.main(['teacher', 'list'])"
    places = {"TMPDIR": str(tmp_path), "PROVOST_HOME": str(home)}
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | places,
        capture_output=True,
        text=True,
    )
    assert "has no released teacher" in run.stderr
    assert not list(tmp_path.glob("flyte*"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there_under_its_name(name):
    module, _, attribute = COMMANDS[name][0].partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    assert command.name == name
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0


def test_an_unknown_command_is_refused():
    result = CliRunner().invoke(main, ["realease"])
    assert result.exit_code == 2
    assert "No such command 'realease'" in result.output


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert version("provost") in CliRunner().invoke(main, ["--version"]).output


def test_a_list_of_no_teachers_says_how_to_get_one(home):
    result = CliRunner().invoke(main, ["teacher", "list"])
    assert result.exit_code == 1
    assert f"{home}/store has no released teacher" in result.output
    assert "provost run teacher math" in result.output


@pytest.mark.parametrize(
    "command", [["show"], ["ancestors"], ["descendants"], ["verify"], ["export", "folder"]]
)
def test_a_question_about_what_is_not_there_is_refused(command):
    question, *more = command
    result = CliRunner().invoke(main, ["lineage", question, "student@released", *more])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "Registered: nothing yet" in result.output


def test_a_grace_period_that_could_hurt_a_writer_is_refused():
    result = CliRunner().invoke(main, ["lineage", "gc", "--grace-hours", "0"])
    assert result.exit_code == 1
    assert "use at least 7200 s" in result.output
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("what", ["foundation", "consolidation"])
def test_a_workflow_under_a_launcher_is_refused(home, monkeypatch, what):
    """Each of its processes would run every step; only a round and a climb join as ranks."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = CliRunner().invoke(main, ["run", what])
    assert result.exit_code == 1
    assert "torchrun" in result.output
    assert not (home / "store").exists()
