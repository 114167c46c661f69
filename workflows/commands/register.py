"""``provost register``: a team's workflow, tasks and launch plans in its Flyte project.

Entities are registered under a version: the commit that is checked out.
"""

import hashlib
import importlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import click

from images.names import ImageError, bind, read_references
from tasks.platform.resources import FLAVOR, ResourceError, load_flavor
from workflows.commands.faculty import PipelinePlace, place_of, team_version
from workflows.commands.output import say

DOMAINS = ("development", "staging", "production")


@click.command()
@click.argument("name")
@click.option(
    "--domain",
    type=click.Choice(DOMAINS),
    default=DOMAINS[0],
    show_default=True,
    help="Flyte domain.",
)
@click.option(
    "--version",
    default="",
    help="Commit or tag to register; it must be checked out.  [default: current commit]",
)
@click.option(
    "--flavor",
    envvar=FLAVOR,
    required=True,
    help="Kind of cluster: the name of a file in infra/resources.",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    default=Path("images/bound.toml"),
    show_default=True,
    help="Image digests, as written by images/build.sh.",
)
@click.option(
    "--create-project", is_flag=True, help="Create the Flyte project if it does not exist."
)
@click.option("--dry-run", is_flag=True, help="Show what would be registered without a cluster.")
def register(
    name: str,
    *,
    domain: str,
    version: str,
    flavor: str,
    images: Path,
    create_project: bool,
    dry_run: bool,
) -> None:
    """Register NAME: a team, a dotted Python package, or a shared pipeline such as recipes."""
    place = place_of(name)
    try:
        load_flavor(flavor)
        references = read_references(images)
        bind(references, ())  # before anything is imported: each is one of ours, by digest
        # Tasks read it where they are declared, which is when the package is imported.
        os.environ[FLAVOR] = flavor
        _register(place, domain, version, references, makes_project=create_project, is_dry=dry_run)
    except (ImageError, ResourceError) as error:
        raise click.ClickException(str(error)) from error


def _register(
    place: PipelinePlace,
    domain: str,
    version: str,
    images: Mapping[str, str],
    *,
    makes_project: bool,
    is_dry: bool,
) -> None:
    from flytekit.tools.repo import find_common_root

    from workflows.commands.flyte import identifier, kind_of
    from workflows.commands.registration import Registration, create_project, open_remote

    file = Path(str(importlib.import_module(place.package).__file__)).resolve()
    version = version_of(file.parent, domain, version, team_version(place))
    wanted = Registration(place, domain, version, images)
    entities = wanted.entities(find_common_root([str(file)]))
    if not is_dry:
        if makes_project:
            create_project(place, open_remote(place, domain))
        wanted.send(entities, open_remote(place, domain))
    done = "would be registered" if is_dry else "is registered"
    say(f"{place.package} {done} in {place.project}/{domain}, version {version}:")
    for entity in entities:
        say(f"  {kind_of(entity)} {identifier(entity).name}")


DEVELOPMENT = "development"
"""The only Flyte domain that accepts uncommitted changes."""
_NUM_HEX = 12


def version_of(folder: Path, domain: str, name: str, beside: str) -> str:
    """Return ``<beside>-<commit>``, the Flyte version of the code in ``folder``.

    Development accepts uncommitted changes and adds their digest to the version.

    Args:
        folder: Anywhere in the checkout.
        domain: The Flyte domain.
        name: The commit that is meant, or a tag of it; empty for the one that is checked out.
        beside: The team's own version of its folder; may be empty.

    Raises:
        click.ClickException: outside a git checkout, if ``name`` is not what is checked out, or
            if the tree has changes and the domain is not development.
    """
    commit = _git(folder, "rev-parse", "HEAD").decode().strip()
    if name and _git(folder, "rev-parse", f"{name}^{{commit}}").decode().strip() != commit:
        raise click.ClickException(
            f"{name} is not checked out ({commit[:_NUM_HEX]} is), so the entities would not match "
            f"their version: run `git checkout {name}` first"
        )
    version = name or commit[:_NUM_HEX]
    changed = changed_files(folder)
    if changed and domain != DEVELOPMENT:
        shown = ", ".join(changed[:5]) + (", ..." if len(changed) > 5 else "")
        raise click.ClickException(
            f"{len(changed)} files have uncommitted changes ({shown}), which {domain} does not "
            f"accept: commit them, or register in {DEVELOPMENT}"
        )
    if changed:
        version += f"-dirty-{_digest(folder, changed)}"
    return f"{beside}-{version}" if beside else version


def changed_files(folder: Path) -> list[str]:
    """Return the files of the checkout that differ from its commit, relative to its root."""
    told = _git(folder, "status", "--porcelain", "--untracked-files=all", "-z").decode()
    lines = iter(told.split("\0"))
    found = []
    for line in filter(None, lines):
        found.append(line[3:])
        if line[0] in "RC":
            next(lines)  # where it was renamed or copied from
    return sorted(found)


def _digest(folder: Path, changed: list[str]) -> str:
    root = Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip())
    digest = hashlib.sha256()
    for name in changed:
        file = root / name
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest() if file.is_file() else b"")
    return digest.hexdigest()[:8]


def _git(folder: Path, *arguments: str) -> bytes:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, check=False, timeout=60
    )
    if done.returncode:
        raise click.ClickException(
            f"git {' '.join(arguments[:2])} failed in {folder}: {done.stderr.decode().strip()}. "
            "Register from a git checkout, because the version is a commit"
        )
    return done.stdout
