"""Settings of PPO: the value network, the pretraining gradient. No torch: workflows import them."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class ValueStart(StrEnum):
    """What the value network starts from. It is a network of its own, with a head of one number."""

    REWARD_MODEL = "reward_model"
    """A reward model, the input of role ``value_start``, of any size (InstructGPT C.4, Tülu 3)."""
    POLICY = "policy"
    """A copy of the policy's body, under a head drawn from the seed as that of a reward model."""
    RANDOM = "random"
    """A network of the policy's shape, drawn from the seed."""


class ValueSettings(BaseModel):
    """The value network and its advantage (GAE, 1506.02438): PPO in the place of groups."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: ValueStart
    """Start of the value network."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate of its AdamW (InstructGPT C.4: 9e-6)."""
    warmup_steps: int = Field(default=0, ge=0)
    """Number of steps over which its learning rate rises to the peak."""
    gamma: float = Field(default=1.0, gt=0, le=1)
    """Discount of later rewards; 1 for none (InstructGPT C.4, Tülu 3)."""
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    """Decay of later errors in the advantage (Tülu 3: 0.95)."""
    coefficient: float = Field(default=1.0, gt=0)
    """Factor of the value loss (Tülu 3: 0.1); it changes only how often its gradient is clipped,
    because AdamW forgets a factor."""
    clip: float | None = Field(default=0.2, gt=0)
    """Most distance of a value from the one before the step, beyond which it learns nothing from a
    loss that shrinks; None for no clip."""
    whiten: bool = False
    """Whether the advantages of a step's tokens get mean 0 and deviation 1."""
    gradient_clip: float = Field(default=1.0, gt=0)
    """Maximum norm of its gradient."""


class PretrainingSettings(BaseModel):
    """A gradient of log-likelihood beside the policy's own: PPO-ptx (InstructGPT equation 2)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    coefficient: float = Field(gt=0)
    """Weight gamma of a token's mean log-likelihood; the tokens of the policy's loss weigh 1 in all
    (InstructGPT C.4: 27.8)."""
    rows_per_step: int = Field(ge=1)
    """Number of rows per step (InstructGPT C.4: eight for each episode)."""
    row_tokens: int = Field(default=128, ge=2)
    """Number of tokens per row of text; a demonstration is a row of its own."""
