"""A request of the gate to climb again, launched as it was asked: the owner's, with its inputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import BaseModel

from lineage.digest import is_digest
from lineage.store import open_store
from workflows.commands.faculty import team_settings
from workflows.commands.output import say

if TYPE_CHECKING:
    from tasks.gate.refork import Refork

SETTINGS: Mapping[str, str] = {"sft": "SFT", "rl": "RL"}
"""What a team's ``settings.py`` calls the settings of each kind of stage."""


def inputs_of_request(team: str, request: str) -> dict[str, Any]:
    """Return the climb's inputs that a request gives, by its digest or file.

    Raises:
        LineageError: for what is no request.
        click.ClickException: where it is another team's, or the team's folder no longer has the
            settings that the teacher was trained with.
    """
    from tasks.gate.refork import read_refork

    data = open_store().get_bytes(request) if is_digest(request) else _of_file(request)
    asked = read_refork(data)
    settings = team_settings(team)
    if settings.DOMAIN.name != asked.domain:
        raise click.ClickException(
            f"this request is to {asked.owner} for the domain {asked.domain!r}, and {team} teaches "
            f"{settings.DOMAIN.name!r}: `provost run teacher {asked.team} --request ...`"
        )
    differing = list(_differences(asked, settings))
    if differing:
        raise click.ClickException(
            f"{asked.teacher} was trained with other settings than {team} has now, so that this "
            "would be another climb than the one that was asked for:\n"
            + "\n".join(f"  {line}" for line in differing)
            + "\nPut them back, or climb with the present ones: "
            f"provost run teacher {team} {asked.given}"
        )
    say(f"{asked.teacher} of {asked.owner} is asked to climb again:")
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
    """Return every setting that is no longer as the teacher's records have it."""
    found = []
    for stage in asked.trained:
        own = getattr(settings, SETTINGS.get(stage.kind, ""), None)
        if not isinstance(own, BaseModel):
            continue  # the team wires stages of its own; its records stand in the request
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
