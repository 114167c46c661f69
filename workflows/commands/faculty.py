"""Teams and shared pipelines by name: everything that can be run and registered."""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

import click

from workflows.commands.team_files import import_team_module

TEACHERS = "workflows.teachers"
PIPELINES: Mapping[str, str] = {
    "foundation": "workflows.foundation",
    "consolidation": "workflows.consolidation",
    "gate": "workflows.gate",
    "audit": "workflows.audit",
}
"""Shared pipelines and their packages."""


@dataclass(frozen=True)
class PipelinePlace:
    """Where a team or a pipeline lies here, and where in Flyte."""

    package: str
    """A package or a module, dotted."""
    project: str
    """Its Flyte project, and the service account that its pods run as."""

    @property
    def is_team(self) -> bool:
        """Whether the package belongs to a team; shared pipelines do not."""
        return self.package not in PIPELINES.values()

    def owns(self, entity: str) -> bool:
        """Return whether a Flyte entity of this name is its own, or a task that all share."""
        return entity.startswith((f"{self.package}.", "tasks."))


def teams() -> list[str]:
    """Return the teams that have a folder here."""
    package = importlib.import_module(TEACHERS)
    return sorted(found.name for found in pkgutil.iter_modules(package.__path__) if found.ispkg)


def place_of(name: str) -> PipelinePlace:
    """Return where a team, a package of one's own (a dotted name) or a pipeline lies.

    Raises:
        click.ClickException: for a team that is not here.
    """
    if name in PIPELINES:
        return PipelinePlace(PIPELINES[name], name)
    if "." not in name and name not in teams():
        raise click.ClickException(
            f"unknown team {name!r}: choose one of {', '.join(teams())}, give the dotted name of "
            "your own package, such as acme.poetry, or create a team with `provost teacher new`"
        )
    package = name if "." in name else f"{TEACHERS}.{name}"
    team = package.rpartition(".")[2].replace("_", "-")
    return PipelinePlace(package, f"teacher-{team}")


def team_module(team: str) -> ModuleType:
    """Return the module that holds a team's ``climb``.

    Raises:
        click.ClickException: for a team that is not here, or a file of it that cannot be used.
    """
    return import_team_module(place_of(team).package, "workflow", "climb")


def team_settings(team: str) -> ModuleType:
    """Return the module that holds a team's settings, ``DOMAIN`` among them."""
    return import_team_module(place_of(team).package, "settings", "DOMAIN")


def team_version(place: PipelinePlace) -> str:
    """Return the version that a team gives its folder; "" for a pipeline, which has none."""
    if not place.is_team:
        return ""
    return str(import_team_module(place.package, "settings", "DOMAIN").DOMAIN.version)
