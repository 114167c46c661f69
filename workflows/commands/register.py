"""``provost register``: register a team's workflow, tasks and launch plans in its Flyte project."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path

import click

from images.names import ImageError, bind, read_references
from tasks.platform.resources import FLAVOUR, ResourceError, load_flavour
from workflows.commands.checkout import version_of
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
    "--flavour",
    envvar=FLAVOUR,
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
    flavour: str,
    images: Path,
    create_project: bool,
    dry_run: bool,
) -> None:
    """Register NAME: a team, a dotted Python package, foundation or consolidation."""
    place = place_of(name)
    try:
        load_flavour(flavour)
        references = read_references(images)
        bind(references, ())  # before anything is imported: each is one of ours, by digest
        # Tasks read it where they are declared, which is when the package is imported.
        os.environ[FLAVOUR] = flavour
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

    from workflows.commands.registered import identifier, kind_of
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
