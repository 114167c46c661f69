"""What a person launches: one record for each plan and form, with who launched it and where."""

from pydantic import Field, JsonValue

from lineage.artifacts import Frozen
from lineage.digest import digest_json

KIND = "launch"
LAUNCHER = "launcher"
"""The note of an attestation that names who launched, where that is known."""
REPORT = "gate"
"""The note of an attestation that names the gate's report on the plan, by artifact and record."""
SOURCE = digest_json("a person's launch")
"""Placeholder for the code digest in the record: a person launched it, not code."""


class Launched(Frozen):
    """A launch form as it was filled in, with what it asks of the rounds."""

    inputs: dict[str, JsonValue]
    """Every input of the form."""
    preset: str = ""
    """Preset that filled the form; "" for the form's own defaults."""
    round: dict[str, JsonValue] = Field(default_factory=dict)
    """Settings of each round."""
    rounds: int = 1
    seed: int = 0

    def led_to(self, student: dict[str, JsonValue]) -> bool:
        """Return whether a student's settings are those of the last round in the launch."""
        wanted = {**self.round, "seed": self.seed + self.rounds - 1}
        return all(student.get(name) == value for name, value in wanted.items())
