"""Every command shows text of others as text: it redraws no screen and forges no line."""

import ast
import re
import shutil
import unicodedata

import click
import pytest
from click.testing import CliRunner

from lineage.errors import LineageError, paragraph, plain
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tasks.rollout.client import EnvironmentFailure
from tests.support.hostile_store import FORGED, TEXT, hostile_store
from tests.support.project_files import ROOT, relative, syntax_tree
from tests.support.tiny_faculty import home_at
from workflows.cli import main

QUESTIONS = {
    "teacher list": ([],),
    "teacher recall": (
        ["math@1", "--by", TEXT, "--reason", TEXT],
        ["math@1", "--by", TEXT, "--reason", TEXT, "--yes"],
    ),
    "teacher retire": (["math@1", "--by", TEXT, "--reason", TEXT],),
    "teacher promote": (
        ["math@1", "--by", TEXT, "--reason", TEXT],
        ["math@2", "--by", TEXT, "--reason", "x"],
    ),
    "student promote": (["student@2", "--by", TEXT, "--reason", TEXT], [TEXT]),
    "student list": ([],),
    "student show": (["student@1"], ["math@1"], [TEXT]),
    "student weights": (["student@1"], [TEXT]),
    "teacher show": (["math@1"], [TEXT]),
    "student moves": ([], [TEXT]),
    "student rollback": (["student@1", "--by", TEXT, "--reason", TEXT], [TEXT]),
    "lineage show": (["student@1"], ["math"], [TEXT]),
    "lineage ancestors": (["student@1"],),
    "lineage descendants": (["base@1"],),
    "lineage diff": (["base@1", "math@1"], ["math@1", "student@1"]),
    "lineage verify": (["student@1"], ["base@1"]),
    "lineage export": (["student@1", "{other}"], ["base@1", "{other}"]),
    "student export": (["student@1", "{other}"], [TEXT, "{other}"]),
    "teacher export": (["math@1", "{other}"], [TEXT, "{other}"]),
    "lineage gc": ([],),
    "lineage reindex": ([],),
    "run teacher": (["math", "--request", "{request}"], ["math", "--fork-point", TEXT]),
    "run consolidation": (["--teachers", "math@1", "--student", "base@1"],),
    "checkpoint import": ([TEXT],),
    "teacher import": (
        [TEXT, "--team", "math"],
        ["{other}", "--team", "math", "--fork-point", TEXT],
    ),
    "gate": (["--teachers", "math@1", "--student", "base@1"],),
    "audit": (["student@1"], [TEXT]),
    "surgery": (["student@1", "--without", TEXT],),
    "compare": (["student@1", "student@2"],),
    "recipe list": ([],),
    "recipe compare": ([], ["--scale", TEXT]),
    "run recipe": ([TEXT],),
    "waive": (["{merged}", "--reason", TEXT],),
    "lineage promote": (["base@1", "--to", "{other}"], [TEXT, "--to", "{other}"]),
    "lineage rows": (["student@1"], ["base@1"], [TEXT]),
    "lineage adopt": ([],),
    "lineage keep": (["{merged}", "{merged}", "--reason", TEXT], ["base@1", TEXT, "--reason", "a"]),
    "trust show": ([],),
    "trust init": ([],),
    "trust publish": (["{request}"],),
    "trust endorse": (["--reason", TEXT],),
    "plans": ([],),
    "doctor": ([],),
    "estimate": (
        ["--student", "student@1", "--teachers", "math@1"],
        ["--student", TEXT, "--teachers", "2"],
    ),
}
SPEAK_FOR_THEMSELVES = {
    *("demo", "run foundation", "register", "teacher new", "teacher lock", "teacher keygen"),
    *("runs", "approve"),
}
"""Train for minutes, or write files; what they print is of the user's own checkout. The last two
ask Flyte: tests/hosted asks them."""


def leaves(group, context, before=""):
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, context, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def assert_plain(output):
    strange = {
        letter for letter in output if letter != "\n" and unicodedata.category(letter)[0] == "C"
    }
    assert strange == set()
    assert not [line for line in output.splitlines() if line.startswith(FORGED)]


@pytest.fixture(scope="module")
def home_with_hostile_text(tmp_path_factory, mlflow_database):
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "home").mkdir()
    shutil.copyfile(mlflow_database, folder / "home" / "mlflow.db")
    with home_at(folder / "home"):
        return folder / "home", hostile_store(folder)


@pytest.fixture
def made(tmp_path, home, home_with_hostile_text, kept_homes, monkeypatch):
    monkeypatch.delenv("PROVOST_SIGNING_KEY", raising=False)
    folder, found = home_with_hostile_text
    with kept_homes.lent(folder, home):
        yield found | {"other": str(tmp_path / "other")}


def test_every_command_is_in_the_list():
    known = set(leaves(main, click.Context(main)))
    assert known == set(QUESTIONS) | SPEAK_FOR_THEMSELVES


@pytest.mark.parametrize("command", QUESTIONS)
def test_a_command_shows_hostile_text_as_text(command, made):
    for arguments in QUESTIONS[command]:
        given = [argument.format(**made) for argument in arguments]
        result = CliRunner().invoke(main, [*command.split(), *given])
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert result.output
        assert_plain(result.output)


def test_a_list_shows_the_text_of_an_owner(made):
    told = CliRunner().invoke(main, ["teacher", "list"], env={"COLUMNS": "400"}).output
    assert plain(TEXT) in told


def test_a_recall_cannot_forge_the_answer_of_resolve(made):
    Registry(open_store()).recall("teacher.math", 1, by=TEXT, reason=TEXT)
    result = CliRunner().invoke(
        main, ["student", "rollback", "math@1", "--by", "a", "--reason", "b"]
    )
    assert result.exit_code == 1
    assert "was recalled by" in result.output
    assert_plain(result.output)


@pytest.mark.parametrize(
    "error",
    [LineageError(TEXT), EnvironmentFailure("math", TEXT, TEXT, prompt_id=TEXT, details=TEXT)],
)
def test_an_error_is_plain_wherever_it_is_logged(error):
    assert_plain(str(error))


def test_the_traceback_of_an_unexpected_error_is_plain(monkeypatch, capsys):
    from workflows.commands.output import show_trace

    error = KeyError(TEXT)
    error.add_note(TEXT)
    show_trace(KeyError, error, None)
    shown = capsys.readouterr().err
    assert "KeyError" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_plain_text_stays_as_it_is():
    assert plain("grün 数学 [b]") == "grün 数学 [b]"
    assert plain("a\tb\r\nc\x1b[0m") == "a b  c[0m"
    assert paragraph("a\nb\n  c\n\n") == "a\n  b\n  c\n\n"
    assert paragraph(paragraph(TEXT)) == paragraph(TEXT)


def test_nothing_prints_past_the_output_layer():
    """So that the next command cannot forget it."""
    layer = {"workflows/commands/output.py", "workflows/progress.py", "workflows/process.py"}
    files = sorted((ROOT / "workflows").rglob("*.py"))
    assert len(files) > 30
    found = [
        f"{relative(file)}:{node.lineno} {name}"
        for file in files
        if relative(file) not in layer
        for node in ast.walk(syntax_tree(file))
        if isinstance(node, ast.Call)
        and re.fullmatch(
            r"(.*\.)?(echo|secho|print|Console|std(out|err)\.write|confirm|prompt|add_row)",
            name := ast.unparse(node.func),
        )
    ]
    assert found == []
