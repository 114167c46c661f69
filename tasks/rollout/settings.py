"""How text is drawn from a policy and graded. No torch: workflows import it."""

from enum import StrEnum
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class SamplingEngine(StrEnum):
    """What runs the policy while it writes."""

    TRANSFORMERS = "transformers"
    """In the trainer's own process, with the trainer's own weights."""
    VLLM = "vllm"
    """A vLLM server beside the trainer, whose weights the trainer replaces."""


class VllmServer(BaseModel):
    """A vLLM server that stands at this run's disposal alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    """Such as ``http://127.0.0.1:8000``; its control routes have no password, so keep it local."""
    served_model: str = Field(min_length=1)
    """The name under which it serves the policy (``--served-model-name``)."""
    weights_folder: str
    """An absolute path that both see, in memory at best; each update's weights pass through it."""
    concurrency: int = Field(default=256, ge=1)
    """Requests under way at once."""
    timeout_seconds: float = Field(default=600.0, gt=0)
    """How long one answer may take, a server that is still starting included."""
    max_log_prob_gap: float = Field(default=0.05, gt=0)
    """By how many nats a token, on average, its log-probabilities may differ from the trainer's; a
    bf16 model's own noise is about a hundredth."""

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise ValueError(f"{url!r} is no server's address: give http://host:port and no path")
        return url.rstrip("/")

    @field_validator("weights_folder")
    @classmethod
    def _is_absolute(cls, folder: str) -> str:
        if not folder.startswith("/"):
            raise ValueError(
                f"weights_folder {folder!r} is relative, and the server may stand elsewhere: give "
                "a path from / that both processes see"
            )
        return folder


class SamplingSettings(BaseModel):
    """How text is drawn from a policy, and what environments may meet it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(default=1.0, gt=0)
    max_new_tokens: int = Field(default=24, ge=1)
    """Per model turn, its end token included."""
    engine: SamplingEngine = SamplingEngine.TRANSFORMERS
    vllm: VllmServer | None = None
    """Of the engine vllm alone."""
    allow_unconfined: bool = False
    """Let environments run also where this machine cannot keep its files and network from them.
    Records keep it; `provost doctor` says what a machine lacks."""

    @model_validator(mode="after")
    def _server_and_engine_agree(self) -> "SamplingSettings":
        if self.engine is SamplingEngine.VLLM and self.vllm is None:
            raise ValueError(
                "the engine vllm has no server to ask: set vllm to its url, served_model and "
                "weights_folder, or choose the engine transformers"
            )
        if self.engine is not SamplingEngine.VLLM and self.vllm is not None:
            raise ValueError(
                f"a vLLM server is given, but the engine is {self.engine.value}, which never asks "
                "it: choose the engine vllm, or leave the server out"
            )
        return self
