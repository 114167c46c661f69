"""How much work a round is, from its settings alone. No torch: workflows import it."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from lineage.digest import canonical_json
from tasks.ledger.schema import LedgerSettings
from tasks.onpolicy.settings import LoopSettings

_NO_PART_OF_A_RECIPE = ("ledger", "placement", "health")


def recipe(settings: Mapping[str, JsonValue], rounds: int) -> str:
    """Return all that how much arrives may depend on, besides plan and seed, as one text.

    Args:
        settings: Of a round, as its record has them.
        rounds: How many.
    """
    kept = {name: value for name, value in settings.items() if name not in _NO_PART_OF_A_RECIPE}
    sampling = kept.get("sampling")
    if isinstance(sampling, dict):
        # What an unconfined environment could reach changes no answer.
        kept["sampling"] = {k: v for k, v in sampling.items() if k != "allow_unconfined"}
    return canonical_json({**kept, "rounds": rounds}).decode()


class Workload(BaseModel):
    """What a plan's estimate of time, memory and storage rests on, besides the plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loop: LoopSettings
    ledger: LedgerSettings
    rounds: int = Field(ge=1)
    prompts_per_domain: int = Field(ge=1)
    rollouts_per_prompt: int = Field(ge=1)
    max_new_tokens: int = Field(ge=1)
    """At most, of a response."""
    has_outcome: bool
    """The outcome reward is a source beside the teachers."""

    @property
    def rollouts_per_step(self) -> int:
        """Rollouts of one domain in a step."""
        return self.prompts_per_domain * self.rollouts_per_prompt
