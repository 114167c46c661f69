"""How much work a round is, from its settings alone. No torch: workflows import it."""

from pydantic import BaseModel, ConfigDict, Field

from tasks.ledger.settings import LedgerSettings
from tasks.onpolicy.settings import LoopSettings


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
