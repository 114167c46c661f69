"""Settings of sampling and grading. No torch: workflows import it."""

from enum import StrEnum
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tasks.contracts.refusal import RefusedError

SHARED_MEMORY = "/dev/shm"


class SamplingEngine(StrEnum):
    """Engine that runs the policy during sampling."""

    TRANSFORMERS = "transformers"
    """The trainer's own process and weights."""
    VLLM = "vllm"
    """A vLLM server that receives its weights from the trainer."""


class VllmServer(BaseModel):
    """A vLLM server that serves only this run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    """Address, such as ``http://127.0.0.1:8000``. Its control routes need no password, so keep it
    local."""
    other_urls: list[str] = Field(default_factory=list, exclude_if=lambda value: not value)
    """Addresses of further servers, for a run of several ranks. Each rank samples with one of them,
    in turn, and all of them load the same weights."""
    served_model: str = Field(min_length=1)
    """Name under which the server offers the policy (``--served-model-name``)."""
    weights_folder: str
    """Absolute path that trainer and server share, ideally in memory. The weights of each update
    pass through it. Nodes share it, or each has its own under that path (``/dev/shm``), for the
    servers on it."""
    concurrency: int = Field(default=256, ge=1)
    """Maximum number of concurrent requests."""
    timeout_seconds: float = Field(default=600.0, gt=0)
    """Time limit for one response in seconds, including the server's start."""
    max_log_prob_gap: float = Field(default=0.05, gt=0)
    """Maximum mean difference between the server's and the trainer's log-probabilities, in nats per
    token. The noise of a bf16 model is about 0.01."""

    @property
    def urls(self) -> tuple[str, ...]:
        """Addresses of all servers."""
        return (self.url, *self.other_urls)

    @property
    def is_in_memory(self) -> bool:
        """Whether the weights' folder is in the file system that Linux keeps in memory."""
        return PurePosixPath(self.weights_folder).is_relative_to(SHARED_MEMORY)

    @field_validator("other_urls")
    @classmethod
    def _are_addresses(cls, urls: list[str]) -> list[str]:
        return [cls._is_address(url) for url in urls]

    @model_validator(mode="after")
    def _no_server_twice(self) -> "VllmServer":
        if len(set(self.urls)) < len(self.urls):
            raise RefusedError(
                "server-twice",
                f"the servers {', '.join(self.urls)} are not all different: name each one once",
            )
        return self

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise RefusedError(
                "bad-address",
                f"{url!r} is not a server address: give http://host:port without path",
            )
        return url.rstrip("/")

    @field_validator("weights_folder")
    @classmethod
    def _is_absolute(cls, folder: str) -> str:
        if not folder.startswith("/"):
            raise RefusedError(
                "relative-path",
                f"weights_folder {folder!r} is a relative path, and the server may run in another "
                "folder: give an absolute path that both processes can read",
            )
        return folder


class SamplingSettings(BaseModel):
    """How responses are sampled, and how environments are confined."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature."""
    max_new_tokens: int = Field(default=24, ge=1)
    """Maximum number of tokens per model turn, including the end token."""
    engine: SamplingEngine = SamplingEngine.TRANSFORMERS
    """Engine that samples: the trainer's own model, or a vLLM server."""
    vllm: VllmServer | None = None
    """The vLLM server; only for the engine vllm."""
    allow_unconfined: bool = False
    """Whether environments may run on a machine that cannot block their access to files and
    network. Records keep it, and `provost doctor` says what a machine lacks."""

    @model_validator(mode="after")
    def _server_and_engine_agree(self) -> "SamplingSettings":
        if self.engine is SamplingEngine.VLLM and self.vllm is None:
            raise RefusedError(
                "no-server",
                "the engine vllm needs a server: set vllm to its url, served_model and "
                "weights_folder, or choose the engine transformers",
            )
        if self.engine is not SamplingEngine.VLLM and self.vllm is not None:
            raise RefusedError(
                "unused-server",
                f"a vLLM server is given, but the engine is {self.engine.value}, which does not "
                "use it: choose the engine vllm, or remove the server",
            )
        return self
