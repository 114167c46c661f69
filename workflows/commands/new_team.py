"""``provost teacher new``: creates the files of a new team."""

import keyword
import re
from collections.abc import Mapping
from pathlib import Path

import click

import workflows
from workflows.commands.faculty import PIPELINES, TEACHERS
from workflows.commands.output import say
from workflows.commands.starter import folder_of, tests_of

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_OWNED = "/workflows/teachers/"


@click.command("new")
@click.argument("team")
def new(team: str) -> None:
    """Create a folder for TEAM with a small working domain and tests; register its owner."""
    root = Path(str(workflows.__file__)).resolve().parents[1]
    for path in write_team(root, team):
        say(f"  {path.relative_to(root)}")
    say(f"Created the team {team}. Try it:")
    say(f"    python -m pytest tests/teachers/test_{team}.py")
    say(f"    provost run teacher {team}          # after `provost run foundation`, or the demo")
    say(
        "Then make it yours: prompts.py and environment.py first. docs/guides/add-a-team.md goes "
        "on from here"
    )


def write_team(root: Path, team: str) -> list[Path]:
    """Write a team into the checkout at ``root``; return the files written or changed.

    Raises:
        click.ClickException: for an invalid name, a team that exists already, or a folder that
            is not a checkout. Nothing is written then.
    """
    _check_name(team)
    package = f"{TEACHERS}.{team}"
    folder = root.joinpath(*package.split("."))
    files = {folder / name: text for name, text in folder_of(team, package).items()}
    files[root / "tests" / "teachers" / f"test_{team}.py"] = tests_of(team, package)
    there = [file for file in files if file.exists()]
    if there:
        raise click.ClickException(
            f"{there[0].relative_to(root)} exists already: choose another name, or delete it"
        )
    files |= _house(root, team)
    for file, text in files.items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return list(files)


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
