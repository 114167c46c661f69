"""Puts the trainer's weights into a running vLLM server, in place, and verifies them.

vLLM has three ways to take weights while it runs. Its NCCL engine needs vLLM's own half in the
trainer, and would then dictate the trainer's torch and transformers; its IPC engine takes pickles.
The one used here reads a folder of safetensors into the tensors that the server has
(``reload_weights``, through ``/collective_rpc``), so its graphs and allocations stay. The folder is
in memory at best.

A fingerprint says whether weights have changed since, the server says which version it holds, and a
probe compares its log-probabilities with the trainer's.
"""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from pydantic import JsonValue
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel

from tasks.model.lora import merged_weights
from tasks.platform.ranks import num_ranks
from tasks.rollout.sampling.vllm.client import VllmClient, VllmError
from tasks.rollout.settings import VllmServer

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class ServedWeights:
    """The weights that a server holds of a policy."""

    def __init__(self, client: VllmClient, server: VllmServer, model: PreTrainedModel) -> None:
        """Take a policy, which may change its weights between calls; nothing is sent yet.

        Raises:
            ValueError: if several ranks train it: each holds a part of the weights alone.
        """
        if num_ranks() > 1 or any(isinstance(module, FSDPModule) for module in model.modules()):
            raise ValueError(
                "several ranks train this policy, and one vLLM server takes weights from one "
                "process: choose the engine transformers, or train on one rank"
            )
        self._client, self._model = client, model
        self._folder = Path(server.weights_folder)
        self._fingerprint: list[int] = []
        self._digest = ""

    def bring_up_to_date(self) -> bool:
        """Send the weights if they changed since the last time; return whether they did.

        Raises:
            VllmError: if the server does not take them, or holds others than were sent.
        """
        fingerprint = list(_fingerprint(self._model))
        if fingerprint == self._fingerprint:
            self.refuse_others()
            return False
        sent, digest = self._write()
        # A load that fails halfway leaves weights that belong to no version.
        self._name_version(f"loading {digest}")
        self._load(sent)
        # What is cached of contexts was computed with the weights before.
        if self._client.post("/reset_prefix_cache", {}).get("success") is not True:
            raise VllmError(
                "shared-server",
                "the server could not clear its prefix cache, so it is serving another run's "
                "requests: give each run its own server",
            )
        self._name_version(digest)
        self._fingerprint, self._digest = fingerprint, digest
        self.refuse_others()
        for other in self._folder.iterdir():
            if other != sent:
                shutil.rmtree(other)
        return True

    def _name_version(self, version: str) -> None:
        self._client.post("/update_weight_version", {"new_version": version})

    def _load(self, folder: Path) -> None:
        kwargs: dict[str, JsonValue] = {"weights_path": str(folder)}
        try:
            self._client.post("/collective_rpc", {"method": "reload_weights", "kwargs": kwargs})
        except VllmError as error:
            raise VllmError(
                "weights-not-loaded",
                f"the server did not load the weights, and is of no use until it is started again: "
                f"start it with this run's model, for another has other shapes ({error})",
            ) from error

    def _write(self) -> tuple[Path, str]:
        """Write the weights as a folder that is named by their digest; return both."""
        partial = self._folder / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        self._model.save_pretrained(partial, state_dict=_with_head(self._model))
        digest = hashlib.sha256()
        for file in sorted(partial.glob("*.safetensors")):
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        folder = self._folder / digest.hexdigest()
        shutil.rmtree(folder, ignore_errors=True)
        return partial.rename(folder), f"sha256:{digest.hexdigest()}"

    def refuse_others(self) -> None:
        """Ask the server which weights it holds.

        Raises:
            VllmError: if they are not those that were sent last.
        """
        held = self._client.get("/weight_info").get("weight_version")
        if held != self._digest:
            raise VllmError(
                "other-weights",
                f"the server holds weights {held!r}, and {self._digest!r} were sent: it was "
                "restarted, or another run sent its own. Use one server per run, and start this "
                "run again from its last state",
            )


def _with_head(model: PreTrainedModel) -> dict[str, Tensor]:
    """Return the weights, the output head among them where it is the embeddings' tensor.

    A server on a CPU keeps a packed copy of the head, which it makes anew only from a tensor of
    the head's own name. Else it would answer with the head that it started with.
    """
    has_adapters = any(".lora_" in name for name, _ in model.named_parameters())
    state = merged_weights(model) if has_adapters else model.state_dict()
    tied = getattr(model, "all_tied_weights_keys", {})
    return {name: tensor.clone() if name in tied else tensor for name, tensor in state.items()}


def _fingerprint(model: PreTrainedModel) -> Iterator[int]:
    """Yield a number for each parameter: the sum of its bits, as integers."""
    sums: list[Tensor] = []
    for parameter in model.parameters():
        bits = parameter.detach().contiguous().view(_BITS[parameter.element_size()])
        sums.append(bits.sum(dtype=torch.int64))
    yield from torch.stack(sums).tolist()
