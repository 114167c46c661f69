"""``provost teacher new``: a team that passes its own tests, and a house that knows it."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click import ClickException

from workflows.commands.new_team import write_team

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path):
    """A copy of what a new team touches and its tests import."""
    copied = [ROOT / name for name in ("workflows", "tasks", "lineage", "images", "infra")]
    subprocess.run(["cp", "-a", *copied, tmp_path], check=True)  # with what is compiled
    (tmp_path / "tests" / "teachers").mkdir(parents=True)
    for name in ("CODEOWNERS", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def run(checkout, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=checkout,
        # Plugins of pytest that are installed here take a second to load.
        env={**os.environ, "PYTHONPATH": str(checkout), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.medium
def test_a_new_team_passes_its_tests_and_the_style_at_once(checkout):
    written = write_team(checkout, "old_norse")
    code, said = run(checkout, "pytest", "-q", "tests/teachers/test_old_norse.py")
    assert code == 0, said
    assert "8 passed" in said
    for check in ("check", "format --check"):
        files = [str(file) for file in written if file.suffix == ".py"]
        code, said = run(checkout, "ruff", *check.split(), *files)
        assert code == 0, said


def test_the_house_knows_a_new_team(checkout):
    before = (checkout / "infra" / "trust.toml").read_text()
    write_team(checkout, "chess")
    owners = (checkout / "CODEOWNERS").read_text().splitlines()
    line = next(line for line in owners if "chess" in line)
    assert line.split() == ["/workflows/teachers/chess/", "@provost/team-chess"]
    # the last matching line wins: it stands after the line for everything
    assert owners.index(line) > owners.index(next(x for x in owners if x.startswith("*")))
    trust = tomllib.loads((checkout / "infra" / "trust.toml").read_text())["teams"]
    assert trust.pop("team-chess") == {"names": ["teacher.chess"]}
    assert trust == tomllib.loads(before)["teams"]


def test_what_cannot_name_a_package_and_a_domain_is_refused(checkout):
    before = sorted(checkout.rglob("*"))
    for name in ("Chess", "old-norse", "2d", "class", "consolidation", "a__b", ""):
        with pytest.raises(ClickException, match=repr(name)):
            write_team(checkout, name)
    assert sorted(checkout.rglob("*")) == before


def test_a_team_that_is_there_is_left_alone(checkout):
    before = (checkout / "workflows" / "teachers" / "math" / "prompts.py").read_text()
    with pytest.raises(ClickException, match=r"math/__init__\.py"):
        write_team(checkout, "math")
    assert (checkout / "workflows" / "teachers" / "math" / "prompts.py").read_text() == before


def test_outside_a_checkout_nothing_is_written(tmp_path):
    with pytest.raises(ClickException, match=str(tmp_path)):
        write_team(tmp_path, "chess")
    assert list(tmp_path.iterdir()) == []
