"""A team's file that cannot be used is named with its line, and without a traceback."""

import pytest
from click import ClickException

from tests.support.refusals import refusal
from tests.support.tiny_faculty import importable, write_team
from workflows.commands.faculty import TeamFileError, team_module, team_settings

PACKAGE = "mistaken_teams"
TEAM = f"{PACKAGE}.shout"


@pytest.fixture
def folder(tmp_path):
    """The folder of a team that can be imported."""
    root = tmp_path / "teams"
    (root / PACKAGE).mkdir(parents=True)
    with importable(root):
        write_team(root, "shout", package=PACKAGE)
        yield root / PACKAGE / "shout"


def edit(path, old, new):
    """Replace the one place of ``old``; return the number of its line."""
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    return text[: text.index(old)].count("\n") + 1


def test_a_team_without_a_mistake_is_imported(folder):
    assert callable(team_module(TEAM).climb)
    assert team_settings(TEAM).DOMAIN.name == "shout"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("version=", "verson=", ["no setting 'verson': did you mean 'version'?"]),
        ("version=", "verson=", ["needs the setting 'version'"]),
        ("learning_rate=1e-2", 'learning_rate="fast"', ["learning_rate is 'fast'"]),
        ("prompts_per_step=2", "prompts_per_step=0", ["prompts_per_step is 0"]),
        ("batch_size=4", "batch_size=(4", ["not Python"]),
        ("batch_size=4", "batch_size=FOUR", ["NameError", "FOUR"]),
        ("from tasks.sft.settings", "from tasks.sft.setings", ["tasks.sft.setings"]),
    ],
)
@pytest.mark.parametrize("imported", [team_module, team_settings])
def test_a_mistake_in_the_settings_is_named_by_file_and_line(folder, imported, old, new, words):
    path = folder / "settings.py"
    at = edit(path, old, new)
    with pytest.raises(TeamFileError) as caught:
        imported(TEAM)
    assert caught.value.file == str(path)
    # A constructor over several lines is at its first, an open bracket where Python gives up.
    assert at - 4 <= caught.value.line <= at + 3
    for word in words:
        assert word in caught.value.message


def test_a_workflow_without_climb_is_named(folder):
    path = folder / "workflow.py"
    edit(path, "def climb(", "def clime(")
    with pytest.raises(TeamFileError, match=r"workflow\.py.*climb") as caught:
        team_module(TEAM)
    assert (caught.value.file, caught.value.line) == (str(path), None)


@pytest.mark.parametrize("name", ["workflow", "settings"])
def test_a_missing_file_is_named(folder, name):
    (folder / f"{name}.py").unlink()
    with pytest.raises(TeamFileError) as caught:
        team_module(TEAM)
    assert f"{TEAM}.{name}" in caught.value.message


def test_a_missing_package_differs_from_a_mistake_in_a_file():
    with pytest.raises(ClickException, match=r"acme\.poetry") as caught:
        team_module("acme.poetry")
    assert not isinstance(caught.value, TeamFileError)


def test_the_command_ends_with_status_1_and_no_traceback(folder):
    edit(folder / "settings.py", "version=", "verson=")
    message = refusal("run", "teacher", TEAM)
    assert f"{folder / 'settings.py'}, line " in " ".join(message.split())


def test_the_traceback_setting_shows_the_traceback(folder, monkeypatch):
    edit(folder / "settings.py", "batch_size=4", "batch_size=FOUR")
    monkeypatch.setenv("PROVOST_TRACEBACK", "1")
    with pytest.raises(NameError):
        team_settings(TEAM)
