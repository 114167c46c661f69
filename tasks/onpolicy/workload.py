"""The amount of work in a round, from its settings alone. No torch: workflows import it."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from lineage.digest import canonical_json
from tasks.ledger.schema import LedgerSettings
from tasks.onpolicy.settings import LoopSettings

_NO_PART_OF_A_RECIPE = ("ledger", "placement", "health")


def recipe(settings: Mapping[str, JsonValue], rounds: int) -> str:
    """Return all settings that the transferred gain may depend on, besides plan and seed, as text.

    Args:
        settings: Settings of a round, as in its record.
        rounds: Number of rounds.
    """
    kept = {name: value for name, value in settings.items() if name not in _NO_PART_OF_A_RECIPE}
    sampling = kept.get("sampling")
    if isinstance(sampling, dict):
        # What an unconfined environment could reach changes no answer.
        kept["sampling"] = {k: v for k, v in sampling.items() if k != "allow_unconfined"}
    return canonical_json({**kept, "rounds": rounds}).decode()


class Workload(BaseModel):
    """The inputs of a plan's cost estimate, besides the plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loop: LoopSettings
    ledger: LedgerSettings
    rounds: int = Field(ge=1)
    prompts_per_domain: int = Field(ge=1)
    rollouts_per_prompt: int = Field(ge=1)
    max_new_tokens: int = Field(ge=1)
    """Maximum tokens of a response."""
    has_outcome: bool
    """Whether the outcome reward is a source beside the teachers."""

    @property
    def rollouts_per_step(self) -> int:
        """Rollouts of one domain per step."""
        return self.prompts_per_domain * self.rollouts_per_prompt
