"""The page on adding a team, taken at its word: its code blocks make a team that climbs."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from lineage.artifacts import Release, read_manifest
from lineage.compatibility.sketch import read_sketch
from lineage.registry.registry import Registry
from lineage.store.store import open_store, read_tree
from tasks.rollout.json_lines import parse_json
from tasks.rollout.prompts import prompt_from_json
from tests.support.tiny_faculty import importable
from workflows.cli import main
from workflows.commands.starter import SPELLING

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "add-a-team.md"
PLACE = "workflows.teachers.spell"
PACKAGE = "handbook.spell"
FEWER = {
    r"\bnum_steps=\d+": "num_steps=2",
    r"\brung_every=\d+": "rung_every=1",
    r"(DomainSettings\(.*)\)": r"\1, num_train=64, num_evaluation=20, num_demonstrations=64)",
}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.M)


def block_in(text):
    """Return whether some block of the page is this text."""
    return text in blocks("python")


@pytest.fixture
def spell(tmp_path):
    """Write the new team's files into a package of one's own, with fewer steps."""
    folder = tmp_path / "page" / "handbook" / "spell"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    files = dict(SPELLING.folder("spell", PACKAGE))
    for pattern, fewer in FEWER.items():
        files["settings.py"], count = re.subn(pattern, fewer, files["settings.py"])
        assert count, f"the settings have no {pattern}"
    for name, text in files.items():
        (folder / name).write_text(text)
    with importable(tmp_path / "page"):
        yield folder


def test_the_page_shows_what_a_new_team_is_given():
    files = SPELLING.folder("spell", PLACE)
    shown = {name for name, text in files.items() if block_in(text)}
    assert shown == set(files) - {"__init__.py"}


def provost(*arguments):
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.medium
def test_the_page_makes_a_team_that_releases_a_teacher(fork_point, spell):
    said = provost("run", "teacher", PACKAGE)
    store = open_store()
    entry = Registry(store).resolve("spell@candidate")
    assert entry.digest in said
    assert "spell@1 stays a candidate" in said  # it has learned nothing in two steps
    assert "provost teacher promote spell@1" in said
    assert (entry.name, entry.version, entry.owner) == ("teacher.spell", 1, "team-spell")
    release = read_manifest(store, entry.digest, Release)  # refuses one that misses a part
    assert release.team_version == "1.0.0"
    assert [rung.step for rung in release.ladder] == [1, 2]
    bundle = {file.path for file in read_tree(store, release.environment.digest).files}
    assert bundle == {"environment.py", "prompts.py"}
    assert read_sketch(store, release.sft.sketches).num_rows == 64
    card = parse_json(store.get_bytes(release.scorecard.digest).decode())
    assert card["spell"]["teacher"]["n"] == 20
    assert "spell@1" in provost("teacher", "list")

    again = provost("run", "teacher", PACKAGE)
    assert again.strip().splitlines()[-1] == said.strip().splitlines()[-1]
    assert len(Registry(store).versions("teacher.spell")) == 1


def test_the_pages_folder_is_all_that_there_is(spell):
    tree = re.search(r"workflows/teachers/spell/\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    named = set(re.findall(r"^ +(\S+\.py)", tree.group(1), re.M))
    assert named == {path.name for path in spell.iterdir()}


def test_the_pages_jsonl_line_is_a_prompt():
    for block in blocks("json"):
        for line in block.splitlines():
            row = parse_json(line)
            if "turns" not in row:
                assert prompt_from_json(row).messages[-1].role == "user"


def test_every_option_and_command_of_the_page_exists():
    commands = [line for block in blocks("") for line in block.splitlines() if "provost " in line]
    assert len(commands) >= 4
    for line in commands:
        words = line.partition("#")[0].split()[1:]
        names = [word for word in words if re.fullmatch(r"[a-z]+", word)][:2]
        names = names[:1] if names[0] == "register" else names
        shown = CliRunner().invoke(main, [*names, "--help"])
        assert shown.exit_code == 0, line
        for option in (word for word in words if word.startswith("--")):
            assert option in shown.output
