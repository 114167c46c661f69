"""What a team says of a teacher that it trained elsewhere. What it does not say is unknown."""

from pydantic import BaseModel, ConfigDict


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
