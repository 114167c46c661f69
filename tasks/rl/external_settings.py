"""A team's own trainer as the RL stage of a climb. No torch: workflows import it."""

import json
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from tasks.contracts.refusal import RefusedError
from tasks.rollout.settings import SamplingSettings


class ExternalTrainer(BaseModel):
    """A command that climbs in the place of our own RL stage; see ``tasks/rl/external.py``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: list[str] = Field(min_length=1)
    """Program and arguments. ``{python}`` is this Python and ``{folder}`` the team's folder; the
    path of the job file is added as the last argument."""
    files: list[str] = Field(min_length=1)
    """Files of the team's folder that the command runs. They are stored with the climb, and a
    changed file makes another climb."""
    version: str = Field(min_length=1)
    """Program and version, such as ``trl 1.16.0``."""
    rungs: list[int] = Field(min_length=1)
    """Optimizer steps at which the command leaves a checkpoint; the last is the teacher."""
    settings: list[str] = Field(default_factory=list)
    """Settings for the command as ``name=value``, which pass through the job file; a value is JSON,
    else text."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Environment variables for the command. They are recorded, so no secrets."""
    sampling: SamplingSettings = SamplingSettings()
    """Sampling of the rollouts, for the command, and of the evaluation."""
    time_limit_minutes: float = Field(gt=0)
    """Time limit of one attempt in minutes."""

    @field_validator("settings")
    @classmethod
    def _are_named(cls, entries: list[str]) -> list[str]:
        names = [entry.partition("=")[0] for entry in entries if "=" in entry]
        if len(set(names)) < len(entries) or "" in names:
            raise RefusedError(
                "bad-entry", f"the settings {entries} must be name=value, each name once"
            )
        return entries

    def values(self) -> dict[str, JsonValue]:
        """Return the settings by name, parsed."""
        return {name: _parsed(text) for name, _, text in (s.partition("=") for s in self.settings)}

    @model_validator(mode="after")
    def _rungs_increase(self) -> Self:
        if self.rungs != sorted(set(self.rungs)) or self.rungs[0] < 1:
            raise RefusedError(
                "unordered-rungs",
                f"the rungs {self.rungs} must be optimizer steps from 1 on, in increasing order",
            )
        return self


def _parsed(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value
