"""``provost teacher new --data``: a team from a file of questions, in one command."""

import json
import subprocess
import sys
from types import ModuleType

import pytest
from click.testing import CliRunner

from benchmarks.real import settings as proof
from lineage.store.store import open_store
from tasks.contracts.refusal import RefusedError
from tasks.rollout.data_file import DataColumns
from tasks.rollout.environment import Demonstration, Message, Turn
from tests.support.wheels import write_wheel
from tests.workflows.test_new_team import checkout, run  # noqa: F401 (a fixture)
from workflows.cli import main
from workflows.commands.new_team import write_team
from workflows.commands.starter import SPELLING, Starter
from workflows.commands.starter_data import GRADERS, data_starter
from workflows.commands.starter_gym import EXECUTING, FAMILIES, gym_starter
from workflows.commands.starter_numbers import turn_limit
from workflows.commands.starting import starter_of

NOTHING = {
    "data": None,
    "evaluation_data": None,
    "grader": None,
    "prompt_column": "",
    "answer_column": "",
    "environment": "",
    "config": (),
    "requires": (),
    "allow_executing": False,
    "find_links": None,
}


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "sums.jsonl"
    rows = [{"question": f"{n} + 1", "answer": f"#### {n + 1}"} for n in range(120)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def refused(action, *arguments):
    with pytest.raises(RefusedError) as caught:
        action(*arguments)
    return caught.value.code


@pytest.mark.medium
def test_a_team_from_data_passes_its_tests_and_the_style(checkout, data, monkeypatch):  # noqa: F811
    monkeypatch.setenv("PROVOST_HOME", str(checkout / "home"))
    starter, said = data_starter(data, "exact", DataColumns())
    assert sum(int(part.split()[0]) for part in said[0].split(", ")) == 120
    written = write_team(checkout, "sums", starter)
    settings = (checkout / "workflows" / "teachers" / "sums" / "settings.py").read_text()
    # "#### 120" is 8 characters, 4 tokens and an end; with a quarter more 6.25, in eights 8
    assert "max_new_tokens=8)" in settings
    code, told = run(checkout, "pytest", "-q", "tests/teachers/test_sums.py")
    assert code == 0, told
    assert "3 passed" in told
    for check in ("check", "format --check"):
        files = [str(file) for file in written if file.suffix == ".py"]
        code, told = run(checkout, "ruff", *check.split(), *files)
        assert code == 0, told


def numbers_of(text):
    """Return the settings of both stages of a ``settings.py``."""
    made = ModuleType("made")
    exec(compile(text, "settings.py", "exec"), made.__dict__)  # noqa: S102 - our own template
    return made.SFT, made.RL


@pytest.mark.parametrize(
    ("num_demonstrations", "num_steps"),
    [(40, 20), (160, 20), (808, 101), (1200, 150), (7473, 150)],  # a pass in batches of 8
)
def test_the_numbers_of_a_team_from_data_are_the_proofs(num_demonstrations, num_steps):
    counts = {"num_demonstrations": num_demonstrations}
    starter = Starter("Asks.", "", "", counts=counts)
    sft, rl = numbers_of(starter.folder("asked", "acme.asked", 176)["settings.py"])
    assert (sft.learning_rate, rl.loop.learning_rate) == (
        proof.SFT.learning_rate,
        proof.RL.loop.learning_rate,
    )
    assert (sft.batch_size, sft.num_steps) == (proof.SFT.batch_size, num_steps)
    assert rl.sampling.max_new_tokens == 176


def test_the_spelling_team_keeps_the_numbers_of_the_demo():
    sft, rl = numbers_of(SPELLING.folder("spell", "acme.spell")["settings.py"])
    assert (sft.learning_rate, rl.loop.learning_rate) == (1e-3, 2e-4)


@pytest.mark.parametrize(
    ("characters", "max_new_tokens"),
    # 600 / 2 + 1 = 301, a quarter more 376.25; 12 / 2 + 1 = 7, 8.75
    [([600, 3], 384), ([12], 16), ([1], 8)],
)
def test_without_a_fork_point_two_characters_are_a_token(home, characters, max_new_tokens):
    shown = [
        Demonstration((Message("user", "q" * 999),), (Turn("assistant", "a" * count),))
        for count in characters
    ]
    assert turn_limit(open_store(), shown).max_new_tokens == max_new_tokens


def test_an_answer_that_the_grader_does_not_take_is_refused_with_its_line(checkout, tmp_path):  # noqa: F811
    rows = [{"question": f"{n}?", "answer": str(n)} for n in range(120)]
    rows[4]["answer"] = "####"
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert refused(data_starter, path, "exact", DataColumns()) == "empty-answer"
    assert not (checkout / "workflows" / "teachers" / "sums").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"data": "x.jsonl"},
        {"grader": "exact"},
        {"data": "x.jsonl", "grader": "exact", "environment": "reasoning-gym:chain_sum"},
    ],
)
def test_options_that_do_not_go_together_are_refused(options):
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    result = CliRunner().invoke(main, ["teacher", "new", "x", *words])
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ("reasoning-gym:string_insertion", "scorer-executes-text"),
        ("reasoning-gym:game_of_life", "unknown-family"),
        ("reasoning-gym", "unknown-environment"),
        ("other:chain_sum", "unknown-environment"),
        ("openenv:acme.words:Words", "unknown-environment"),  # which package brings it?
        ("openenv:acme", "unknown-environment"),
    ],
)
def test_an_environment_that_cannot_be_a_team_is_refused(environment, code):
    assert refused(starter_of, NOTHING | {"environment": environment}) == code


def test_a_scorer_that_executes_text_is_taken_where_that_is_allowed():
    assert not FAMILIES & EXECUTING
    starter = gym_starter("n_queens", {"n": 4}, allow_executing=True)
    files = starter.folder("queens", "acme.queens")
    assert 'CONFIG: dict = {"n": 4}' in files["environment.py"].replace("'", '"')


def test_a_package_that_cannot_be_had_leaves_no_team(checkout, data, monkeypatch):  # noqa: F811
    monkeypatch.setenv("PROVOST_HOME", str(checkout / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    starter, _ = data_starter(data, "math-verify", DataColumns())
    assert refused(write_team, checkout, "sums", starter) == "unresolved-requirements"
    assert not (checkout / "workflows" / "teachers" / "sums").exists()
    assert "sums" not in (checkout / "CODEOWNERS").read_text()


@pytest.mark.medium
def test_an_unusable_answer_is_named_and_leaves_no_team(checkout, data, monkeypatch, tmp_path):  # noqa: F811
    """A wheel of ours has the grader's name, so that it can fail."""
    monkeypatch.setenv("PROVOST_HOME", str(checkout / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    text = (
        "def parse(text, parsing_timeout=None):\n    return text\n\n\n"
        "def verify(one, two, timeout_seconds=None):\n    return one == two != '7'\n"
    )
    links = tmp_path / "links"
    write_wheel(links, "math_verify", {"math_verify.py": text}, version="0.9.0")
    write_wheel(links, "latex2sympy2_extended", version="1.11.0")
    write_wheel(links, "sympy", version="1.14.0")
    starter, _ = data_starter(data, "math-verify", DataColumns())
    with pytest.raises(RefusedError) as caught:
        write_team(checkout, "sums", starter, links)
    assert caught.value.code == "unusable-answer"
    assert "-7: '7'" in str(caught.value)  # 6 + 1 is on line 7
    assert not (checkout / "workflows" / "teachers" / "sums").exists()
    good = text.replace("two != '7'", "two")
    write_wheel(links, "math_verify", {"math_verify.py": good}, version="0.9.0")
    write_team(checkout, "sums", starter, links)
    assert (checkout / "workflows" / "teachers" / "sums" / "pylock.toml").is_file()


def test_graders_packages_are_not_provosts(data):
    """What a release carries does not become what Provost needs."""
    listed = subprocess.run(
        [sys.executable, "-c", "import math_verify"], capture_output=True, check=False
    )
    assert listed.returncode != 0
    assert set(GRADERS) == {"exact", "math-verify"}
