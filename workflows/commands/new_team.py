"""``provost teacher new``: creates the files of a new team."""

import keyword
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Unpack

import click

import workflows
from workflows.commands.faculty import PIPELINES, TEACHERS
from workflows.commands.output import say
from workflows.commands.starter import SPELLING, Starter
from workflows.commands.starter_data import GRADERS
from workflows.commands.starting import Chosen, starter_of, write_starter

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_OWNED = "/workflows/teachers/"


@click.command("new")
@click.argument("team")
@click.option("--data", type=click.Path(path_type=Path), help="JSONL or Parquet file of questions.")
@click.option(
    "--evaluation-data", type=click.Path(path_type=Path), help="File of evaluation questions."
)
@click.option("--grader", type=click.Choice(sorted(GRADERS)), help="How answers are compared.")
@click.option("--prompt-column", default="", help="Column of the questions.")
@click.option("--answer-column", default="", help="Column of the answers.")
@click.option(
    "--environment",
    default="",
    help="reasoning-gym:FAMILY, or openenv:MODULE:CLASS with --requires.",
)
@click.option("--requires", multiple=True, help="Package that brings an OpenEnv environment.")
@click.option("--config", multiple=True, help="Setting of the family, such as min_terms=3.")
@click.option("--allow-executing", is_flag=True, help="Allow a scorer that runs a model's text.")
@click.option("--find-links", type=click.Path(path_type=Path), help="Folder with wheels of yours.")
def new(team: str, **chosen: Unpack[Chosen]) -> None:
    """Create a folder for TEAM with a small working domain and tests; register its owner.

    The domain is spelling, to be changed into yours; or the questions of a data file (--data with
    --grader); or those of a package (--environment). The packages of a grader are locked, and its
    grades of right answers are tried, before anything is written.
    """
    root = Path(str(workflows.__file__)).resolve().parents[1]
    starter, said = starter_of(chosen)
    for line in said:
        say(f"  {line}")
    for path in write_team(root, team, starter, links=chosen["find_links"]):
        say(f"  {path.relative_to(root)}")
    say(f"Created the team {team}. Try it:")
    say(f"    python -m pytest tests/teachers/test_{team}.py")
    say(f"    provost run teacher {team}")
    say(
        "It climbs from fork-point@released, which `provost checkpoint import`, `provost run "
        "foundation` or the demo makes. docs/guides/add-a-team.md goes on from here"
    )


def write_team(
    root: Path, team: str, starter: Starter = SPELLING, links: Path | None = None
) -> list[Path]:
    """Write a team into the checkout at ``root``; return the files written or changed.

    Raises:
        click.ClickException: for an invalid name, a team that exists already, or a folder that
            is not a checkout. Nothing is written then.
        RefusedError: for packages that cannot be locked, and an answer that is graded wrong.
    """
    _check_name(team)
    package = f"{TEACHERS}.{team}"
    folder = root.joinpath(*package.split("."))
    tests = root / "tests" / "teachers" / f"test_{team}.py"
    there = [file for file in (folder / "__init__.py", tests) if file.exists()]
    if there:
        raise click.ClickException(
            f"{there[0].relative_to(root)} exists already: choose another name, or delete it"
        )
    house = _house(root, team)
    with tempfile.TemporaryDirectory(prefix="provost-") as name:
        made = Path(name, team)
        write_starter(made, starter, team, package, links)
        shutil.copytree(made, folder)
    tests.parent.mkdir(exist_ok=True)
    tests.write_text(starter.tests_of(team, package), encoding="utf-8")
    for file, text in house.items():
        file.write_text(text, encoding="utf-8")
    return [*sorted(file for file in folder.rglob("*") if file.is_file()), tests, *house]


def _check_name(team: str) -> None:
    if not _NAME.fullmatch(team) or keyword.iskeyword(team) or team in PIPELINES:
        raise click.ClickException(
            f"{team!r} is not a valid team name: it must name a Python package and a domain, so "
            "use lowercase letters, digits and single '_', starting with a letter"
        )


def _house(root: Path, team: str) -> Mapping[Path, str]:
    """Return the house's own files with the team added: who approves, and who signs what."""
    owners, trust = root / "CODEOWNERS", root / "infra" / "trust.toml"
    for file in (owners, trust):
        if not file.is_file():
            raise click.ClickException(
                f"{file} is missing, so this is not a checkout of the project: clone it, or write "
                "your own package as described in docs/guides/add-a-team.md"
            )
    lines = owners.read_text(encoding="utf-8").splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith(_OWNED))
    column = lines[last].index("@")
    lines.insert(last + 1, f"{_OWNED}{team}/ ".ljust(column) + f"@provost/team-{team}")
    named = f'[teams.team-{team}]\nnames = ["teacher.{team}"]\n'
    return {
        owners: "\n".join(lines) + "\n",
        trust: trust.read_text(encoding="utf-8").rstrip("\n") + "\n\n" + named,
    }
