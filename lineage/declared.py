"""What a team says of a teacher, or of traces, that come from elsewhere.

What it does not say is unknown.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Declared(BaseModel):
    """What a team says of a teacher that was trained elsewhere; "" is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trainer: str = ""
    """Program and version that trained it, such as ``verl 0.9.0``."""
    code: str = ""
    """Commit or address of the code of its training."""
    seed: str = ""
    steps: str = ""
    """Optimizer steps."""
    sft_data: str = ""
    """Data of its supervised stage, if it had one."""
    rl_data: str = ""
    """Prompts of its reinforcement learning, if they are not the release's."""

    @property
    def words(self) -> str:
        """What is known and what is not, as a sentence."""
        known = [f"{name} {value}" for name, value in self.model_dump().items() if value]
        return (
            "its fork point is declared, and was checked against the weights. Declared: "
            f"{', '.join(known) or 'nothing more'}. Unknown: {', '.join(self.unknown) or 'nothing'}"
        )

    @property
    def unknown(self) -> list[str]:
        """The facts that nobody stated, by name."""
        return [name for name, value in self.model_dump().items() if not value]


FOREIGN_TRACES = "foreign_traces"
"""Kind of the record of answers of a model that others serve."""


class DeclaredTraces(BaseModel):
    """What is said of answers of a model that others serve; "" is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: str = Field(min_length=1)
    """Name and version of the model that wrote them, and who serves it."""
    license: str = Field(min_length=1)
    """License of the answers, or the terms under which they were given."""
    date: str = ""
    """Time at which they were written."""
    sampling: str = ""
    """Settings that they were sampled with."""
    prompts: str = ""
    """Origin of their prompts."""
    ancestry: Literal[""] = ""
    """Ancestry of the model. Its owner alone knows it, so it is always unknown."""

    @property
    def words(self) -> str:
        """What is known and what is not, as a sentence."""
        facts = self.model_dump(exclude={"origin", "license"})
        unknown = [name for name, value in facts.items() if not value]
        return f"answers of {self.origin} (license: {self.license}); unknown: {', '.join(unknown)}"
