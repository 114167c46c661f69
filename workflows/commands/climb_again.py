"""Launches a climb from the gate's request to climb again, with the inputs of the request."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import BaseModel

from lineage.digest import is_digest
from lineage.store.store import open_store
from workflows.commands.faculty import team_settings
from workflows.commands.output import say

if TYPE_CHECKING:
    from tasks.gate.refork import Refork

SETTINGS: Mapping[str, str] = {"sft": "SFT", "rl": "RL"}
"""Variable in a team's ``settings.py`` for each kind of stage."""


def inputs_of_request(team: str, request: str) -> dict[str, Any]:
    """Return the climb inputs of a request, given its digest or file.

    Raises:
        LineageError: it is not a request.
        click.ClickException: it belongs to another team, or the team's settings have changed since
            the teacher was trained.
    """
    from tasks.gate.refork import read_refork

    data = open_store().get_bytes(request) if is_digest(request) else _of_file(request)
    asked = read_refork(data)
    settings = team_settings(team)
    if settings.DOMAIN.name != asked.domain:
        raise click.ClickException(
            f"the request is for {asked.owner} and domain {asked.domain!r}, but {team} teaches "
            f"{settings.DOMAIN.name!r}: run `provost run teacher {asked.team} --request ...`"
        )
    differing = list(_differences(asked, settings))
    if differing:
        raise click.ClickException(
            f"{asked.teacher} was trained with other settings than {team} has now, so this would "
            "not be the requested climb:\n"
            + "\n".join(f"  {line}" for line in differing)
            + "\nRestore them, or climb with the present ones: "
            f"provost run teacher {team} {asked.given}"
        )
    say(f"{asked.teacher} of {asked.owner} needs to climb again:")
    for reason in asked.reasons:
        say(f"  {reason}")
    return dict(asked.inputs)


def _of_file(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise click.ClickException(
            f"{name!r} cannot be read ({error.strerror}): give the digest or the file of a request "
            "that the gate's page names"
        ) from error


def _differences(asked: "Refork", settings: object) -> list[str]:
    """Return every setting that differs from the teacher's records."""
    found = []
    for stage in asked.trained:
        own = getattr(settings, SETTINGS.get(stage.kind, ""), None)
        if not isinstance(own, BaseModel):
            continue  # the team wires stages of its own; the request holds their records
        now, then = _flat(own.model_dump(mode="json")), _flat(stage.settings)
        found += [
            f"{stage.kind} {name}: {then[name]!r} then, {now.get(name, 'not there')!r} now"
            for name in then
            if name not in now or now[name] != then[name]
        ]
    return found


def _flat(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return settings by their dotted paths."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= (
            _flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
        )
    return flat
