"""docs/add-a-team.md, taken at its word: its code blocks make a team that climbs and releases."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_faculty import importable

from lineage.artifacts import Release, read_manifest
from lineage.registry import Registry
from lineage.sketch import read_sketch
from lineage.store import open_store, read_tree
from tasks.rollout.prompts import parse_json, prompt_from_json
from workflows.cli import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "add-a-team.md"
PLACE = "workflows.teachers.spell"
PACKAGE = "handbook.spell"
FEWER = {
    r"\bnum_steps=\d+": "num_steps=2",
    r"\brung_every=\d+": "rung_every=1",
    r"(DomainSettings\(.*)\)": r"\1, num_train=64, num_evaluation=20, num_demonstrations=64)",
}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.M)


def block_of(marker):
    [found] = [block for block in blocks("python") if re.search(marker, block, re.M)]
    return found


@pytest.fixture
def spell(tmp_path):
    """Write the page's five files into a package of one's own, with fewer steps."""
    folder = tmp_path / "page" / "handbook" / "spell"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "__init__.py").write_text('"""Spells words."""\n')
    settings = block_of(r"^DOMAIN = ")
    for pattern, fewer in FEWER.items():
        settings, count = re.subn(pattern, fewer, settings)
        assert count, f"the page's settings have no {pattern}"
    (folder / "settings.py").write_text(settings)
    (folder / "prompts.py").write_text(block_of(r"^def prompts\("))
    (folder / "environment.py").write_text(block_of(r"^ENVIRONMENT = "))
    workflow = block_of(r"^@workflow")
    assert workflow.count(PLACE) == 2
    (folder / "workflow.py").write_text(workflow.replace(PLACE, PACKAGE))
    with importable(tmp_path / "page"):
        yield folder


def provost(*arguments):
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_page_makes_a_team_that_releases_a_teacher(fork_point, spell):
    said = provost("run", "teacher", PACKAGE)
    store = open_store()
    entry = Registry(store).resolve("spell@released")
    assert entry.digest in said
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


def test_the_page_grades_as_it_says(spell):
    from handbook.spell.environment import ENVIRONMENT
    from handbook.spell.prompts import RIGHT_SHARE, demonstrations, prompts

    from tasks.rollout.environment import Turn

    [prompt] = prompts("train", 1, 0)
    word = prompt.task["word"]
    right, wrong = Turn("assistant", "-".join(word)), Turn("assistant", word)
    assert ENVIRONMENT.grade(prompt, [right]).score == 1.0
    assert ENVIRONMENT.grade(prompt, [wrong]).score == 0.0
    said = [example.turns[-1].content for example in demonstrations(400, 0)]
    share = sum("-" in each for each in said) / 400
    # the standard deviation of a share of 0.45 in 400 is 0.025
    assert share == pytest.approx(RIGHT_SHARE, abs=0.1)
    asked = [{p.task["word"] for p in prompts(s, 50, 0)} for s in ("train", "evaluation")]
    assert not asked[0] & asked[1]


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
        shown = CliRunner().invoke(main, [*names, "--help"])
        assert shown.exit_code == 0, line
        for option in (word for word in words if word.startswith("--")):
            assert option in shown.output
