"""A LoRA student's adapter in running vLLM servers: A and B go to them, and no other weights.

A server takes adapters if it was started with ``VLLM_ALLOW_RUNTIME_LORA_UPDATING=1``, and then
needs ``--enable-lora`` and a ``--max-lora-rank`` of at least the student's. Every version has a
name and a folder of its own. vLLM keys its cache of prefixes by both, and an answer names the
adapter that gave it, so that a turn of another version cannot pass for one of this.

The adapter acts on the base that the server holds, which is sent once (``weights``).
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from tasks.contracts.refusal import RefusedError
from tasks.model.files import read_header
from tasks.model.lora import adapter_weights, save_adapter
from tasks.model.settings import AdapterSettings
from tasks.model.shards import collected
from tasks.platform.ranks import exchange
from tasks.rollout.sampling.vllm.client import VllmClient, VllmError
from tasks.rollout.sampling.vllm.weight_files import as_computed
from tasks.rollout.sampling.vllm.weights_folder import WeightsFolder

_LOAD, _UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
_HOW = (
    "start it with --enable-lora and a --max-lora-rank of at least {rank}, or without "
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING, so that it is sent the student's merged weights"
)


def frozen(model: PreTrainedModel) -> list[Tensor]:
    """Return the weights that adapters act beside."""
    return [p.detach() for name, p in model.named_parameters() if ".lora_" not in name]


def adapter_rank(model: PreTrainedModel) -> int:
    """Return the rank of a model's adapters."""
    return _config(model).rank


def write_adapter(model: PreTrainedModel, folder: WeightsFolder) -> tuple[Path, str]:
    """Write A and B in PEFT's format as a folder of its own; return it and its digest. Collective.

    The folder's first rank holds the adapter whole, in the precision that the policy computes in.

    Raises:
        RefusedError: if the folder has too little room.
    """
    own = _as_sent(model)
    folder.refuse_full(adapter_bytes(model), "the adapter of an update, beside the last one")
    weights = collected(own, folder.leaders)
    name = ""
    if folder.leads:
        partial = folder.path / "partial-adapter"
        shutil.rmtree(partial, ignore_errors=True)
        modules = sorted({name.partition(".lora_")[0] for name in weights})
        save_adapter(weights, _config(model), partial, modules)
        name = _digest(partial)
        shutil.rmtree(folder.path / f"adapter-{name}", ignore_errors=True)
        partial.rename(folder.path / f"adapter-{name}")
    [name] = {each for each in exchange(name) if each}  # nothing was computed: all wrote the same
    return folder.path / f"adapter-{name}", name


def _digest(adapter: Path) -> str:
    """Return a digest of what a folder means: PEFT writes a set of modules in any order."""
    config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    config["target_modules"] = sorted(config["target_modules"])
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for file in sorted(adapter.glob("*.safetensors")):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def adapter_bytes(model: PreTrainedModel) -> int:
    """Return the bytes of A and B as they are written."""
    return sum(tensor.numel() * tensor.dtype.itemsize for tensor in _as_sent(model).values())


def _as_sent(model: PreTrainedModel) -> dict[str, Tensor]:
    return {name: as_computed(model, tensor) for name, tensor in adapter_weights(model).items()}


def refuse_other_names(model: PreTrainedModel, base: Path) -> None:
    """Raise RefusedError if files of the base name an adapted module otherwise than the model.

    vLLM finds a module by its name in a checkpoint, and leaves alone what it does not find.
    """
    held = {name for file in base.glob("*.safetensors") for name in read_header(file)}
    adapted = sorted({name.partition(".lora_")[0] for name in adapter_weights(model)})
    lost = [module for module in adapted if f"{module}.weight" not in held]
    if lost:
        raise RefusedError(
            "adapter-names",
            f"checkpoints of {type(model).__name__} name {lost[:3]} otherwise than the model does, "
            f"so a vLLM server would leave {len(lost)} modules without their adapters: start it "
            "without VLLM_ALLOW_RUNTIME_LORA_UPDATING, so that it is sent the student's merged "
            "weights",
        )


class ServedAdapters:
    """The adapters of one student in one server, of which the server holds one at a time."""

    def __init__(self, client: VllmClient, served_model: str) -> None:
        """Take a server; nothing is sent yet."""
        self._client, self._served_model = client, served_model

    def name(self, digest: str) -> str:
        """Return the name under which the server offers an adapter."""
        return f"{self._served_model}@{digest}"

    def are_taken(self) -> bool:
        """Return whether the server has the route that loads adapters.

        Raises:
            VllmError: if it does not answer.
        """
        try:
            self._client.tell(_LOAD, {"lora_name": "", "lora_path": ""})
        except VllmError as error:
            if error.code not in ("no-route", "refused"):
                raise
            return error.code == "refused"
        return True

    def replace(self, folder: Path, digest: str, lora_rank: int) -> None:
        """Load the adapter of a folder in the place of those that were sent before.

        Raises:
            VllmError: if the server does not take it.
        """
        for name in self._names():
            self._client.tell(_UNLOAD, {"lora_name": name})
        try:
            self._client.tell(_LOAD, {"lora_name": self.name(digest), "lora_path": str(folder)})
        except VllmError as error:
            if error.code != "refused":
                raise
            raise VllmError(
                "adapter-not-loaded",
                f"the server did not load the student's adapter of rank {lora_rank}: "
                f"{_HOW.format(rank=lora_rank)} ({error})",
            ) from error

    def _names(self) -> list[str]:
        """Return the names of adapters that the server offers and that some run has sent."""
        listed = self._client.get("/v1/models").get("data")
        models = listed if isinstance(listed, list) else []
        names = [str(model.get("id")) for model in models if isinstance(model, dict)]
        return [name for name in names if name.startswith(f"{self._served_model}@")]


def _config(model: PreTrainedModel) -> AdapterSettings:
    config: Any = model.peft_config  # PEFT has no stable type
    [own] = config.values()
    return AdapterSettings(rank=own.r, alpha=own.lora_alpha)
