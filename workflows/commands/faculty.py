"""Teams and shared pipelines by name: everything that can be run and registered.

An error in a team's modules names the line and the file.
"""

import difflib
import importlib
import importlib.util
import os
import pkgutil
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import click
from pydantic import BaseModel, ValidationError

TEACHERS = "workflows.teachers"
PIPELINES: Mapping[str, str] = {
    "foundation": "workflows.foundation",
    "consolidation": "workflows.consolidation",
    "gate": "workflows.gate",
    "audit": "workflows.audit",
    "recipes": "workflows.recipes",
}
"""Shared pipelines and their packages."""
_PARTS: Mapping[str, tuple[str, ...]] = {
    "workflows.recipes": ("workflows.testbed", "workflows.consolidation.stages")
}
"""Packages beside a pipeline's own that belong to it."""


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
        own = (self.package, *_PARTS.get(self.package, ()), "tasks")
        return entity.startswith(tuple(f"{package}." for package in own))


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


class TeamFileError(click.ClickException):
    """A file of a team that cannot be used: file and line, why, and what to do."""

    def __init__(self, file: str, line: int | None, problem: str) -> None:
        """Keep the place beside the message."""
        self.file, self.line = file, line
        super().__init__(f"{file}{f', line {line}' if line else ''}: {problem}")


def import_team_module(package: str, module: str, *needed: str) -> ModuleType:
    """Return a module of a team's package, which has the names in ``needed``.

    Raises:
        click.ClickException: there is no such package.
        TeamFileError: it is no Python, it raises, or a name is missing.
    """
    try:
        found = importlib.import_module(f"{package}.{module}")
    except Exception as error:
        if os.environ.get("PROVOST_TRACEBACK"):
            raise
        raise _explained(error, package, module) from error
    for wanted in needed:
        if not hasattr(found, wanted):
            raise TeamFileError(
                str(found.__file__),
                None,
                f"{wanted} is not defined: define it as the files do that `provost teacher new` "
                "writes",
            )
    return found


def _explained(error: Exception, package: str, module: str) -> click.ClickException:
    """Return the error of an import for the person who wrote the file."""
    folder = _folder(package)
    if folder is None:
        return click.ClickException(
            f"{package}.{module} cannot be imported ({error}): a team's package has a workflow.py "
            "with a workflow called climb and a settings.py, and lies on the Python path"
        )
    if isinstance(error, SyntaxError):
        return TeamFileError(str(error.filename), error.lineno, f"not Python: {error.msg}")
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    place = (own[-1].filename, own[-1].lineno) if own else (str(folder / f"{module}.py"), None)
    if isinstance(error, ValidationError):
        return TeamFileError(*place, "; ".join(_refused_fields(error)))
    return TeamFileError(*place, f"{type(error).__name__}: {error}")


def _folder(package: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        return None
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def _refused_fields(error: ValidationError) -> Iterator[str]:
    fields = _fields_of(error.title)
    for found in error.errors():
        path, given = ".".join(str(part) for part in found["loc"]), found["input"]
        if found["type"] == "extra_forbidden":
            near = difflib.get_close_matches(path, fields, n=1)
            guess = f": did you mean {near[0]!r}?" if near else f"; there are {', '.join(fields)}"
            yield f"{error.title} has no setting {path!r}{guess}"
        elif found["type"] == "missing":
            yield f"{error.title} needs the setting {path!r}: add it"
        else:
            yield f"{path or error.title} is {given!r}: {found['msg']}"


def _fields_of(model: str) -> list[str]:
    """Return the fields of a settings model by its class name."""
    waiting: list[type[BaseModel]] = [BaseModel]
    while waiting:
        known = waiting.pop()
        if known.__name__ == model:
            return list(known.model_fields)
        waiting += known.__subclasses__()
    return []
