"""How executions came through the review of their plan: who decided, by which way, and why.

A plan with the gate's report on it has one record for each decision. Every execution that came
through adds an attestation, in which it says how.
"""

from collections.abc import Iterable
from typing import Literal

from pydantic import JsonValue, ValidationError

from lineage.artifacts import Frozen
from lineage.digest import digest_json
from lineage.errors import CorruptError
from lineage.records.derivation import Attestation, Derivation

KIND = "approval"
NOTE = "review"
"""The note of an attestation that holds how its execution came through."""


SOURCE = digest_json("a person's decision")
"""Placeholder for the code digest in the record: a person decided, not code."""


class Decision(Frozen):
    """What was decided on a plan in one execution."""

    decision: Literal["approved", "rejected"]
    by: str = ""
    """Name of the person who decided; "" if the backend does not report it."""
    way: Literal["command", "console", "terminal"]
    """``provost approve``, the console's button (or its API), or the question of a local run."""
    reason: str = ""

    def words(self) -> str:
        """Return who decided, and how, as ``ann, by provost approve: they fit``."""
        ways = {
            "command": "by provost approve",
            "console": "by the console",
            "terminal": "at a terminal",
        }
        who = f"{self.by}, {ways[self.way]}" if self.by else f"{ways[self.way]}, identity unknown"
        return f"{who}: {self.reason}" if self.reason else who


def decided(made: Derivation, attestations: Iterable[Attestation]) -> list[Decision]:
    """Return what was decided in each execution, in the order of the attestations.

    Raises:
        CorruptError: for an attestation that says it in another form.
    """
    if "by" in made.settings:  # of an older version: one record for each decision
        return [_read({**made.settings, "way": "command"})]
    return [_read(item.notes[NOTE]) for item in attestations if NOTE in item.notes]


def _read(said: JsonValue) -> Decision:
    try:
        known = Decision.model_fields
        fields = {n: v for n, v in said.items() if n in known} if isinstance(said, dict) else said
        return Decision.model_validate(fields)
    except ValidationError as error:
        raise CorruptError(
            f"a decision on a plan cannot be read ({error}): restore its attestation from a copy "
            "of the store"
        ) from error
