"""Puts the trainer's weights into running vLLM servers, in place, and verifies them.

vLLM has three ways to take weights while it runs. Its NCCL engine needs vLLM's own half in the
trainer, and would then dictate the trainer's torch and transformers; its IPC engine takes pickles.
The one used here reads a folder of safetensors into the tensors that the server has
(``reload_weights``, through ``/collective_rpc``), so its graphs and allocations stay. The folder is
in memory at best.

A server that takes adapters gets the weights below a LoRA student once, and then its adapter at
every update (``adapters``). Other servers get such a student merged, whole, at every update.

A fingerprint says whether weights have changed since, the server says which version it holds, and a
probe compares its log-probabilities with the trainer's. Of several ranks the first ones lead a
server each: they send it the weights. What fails on one rank is raised on all of them.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from pydantic import JsonValue
from transformers import PreTrainedModel

from tasks.model.lora import adapter_weights
from tasks.platform.progress import report
from tasks.platform.ranks import exchange_json, rank, sum_over_ranks
from tasks.rollout.sampling.vllm.adapters import (
    ServedAdapters,
    adapter_bytes,
    adapter_rank,
    frozen,
    refuse_other_names,
    write_adapter,
)
from tasks.rollout.sampling.vllm.client import VllmClient, VllmError
from tasks.rollout.sampling.vllm.weight_files import (
    fingerprint,
    write_weights,
    written_bytes,
)
from tasks.rollout.sampling.vllm.weights_folder import WeightsFolder
from tasks.rollout.settings import VllmServer

_WAYS = {
    True: "vLLM gets the student's adapter at every update, and the weights below it once",
    False: "vLLM gets all weights at every update, with the student's adapter merged into them: "
    "start every server with VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, --enable-lora and "
    "--max-lora-rank to send the adapter alone",
}


class ServedWeights:
    """The weights that a server holds of a policy."""

    def __init__(self, client: VllmClient, server: VllmServer, model: PreTrainedModel) -> None:
        """Take a policy, which may change its weights between calls; nothing is sent yet.

        ``server`` names all servers of the run, and ``client`` reaches this rank's.
        """
        self._client, self._server, self._model = client, server, model
        self._leads = rank() < len(server.urls)
        self._folder: WeightsFolder | None = None
        self._fingerprint: list[int] = []
        self._digest = ""
        self._adapters = ServedAdapters(client, server.served_model)
        self._takes_adapters: bool | None = None
        self._base: list[int] = []
        self._base_digest = ""
        self.served_model = server.served_model
        """Name under which the server offers the policy: an adapter has one of its own."""

    def bring_up_to_date(self) -> bool:
        """Send the weights if they changed since the last time; return whether they did.

        Collective if several ranks train the policy.

        Raises:
            RefusedError: if the weights have too little room on their way, this time or at the next
                update, or the server could not find the adapted modules.
            VllmError: if a server does not take them, or holds others than were sent.
        """
        now = fingerprint(self._model.parameters())
        if not any(exchange_json(now != self._fingerprint)):
            together(self.refuse_others)
            return False
        folder = self._folder = self._folder or self._opened()
        send = self._send_adapter if self._sends_adapter() else self._send_whole
        sent = send(folder)
        self._fingerprint = now
        together(self.refuse_others)
        folder.keep_only(sent)
        return True

    def _opened(self) -> WeightsFolder:
        """Open the folder, empty it, and check that it has room for every update. Collective."""
        folder = WeightsFolder(Path(self._server.weights_folder))
        folder.keep_only(None)  # what a run before left there
        whole = written_bytes(self._model)
        if self._sends_adapter():
            needed = whole + 2 * adapter_bytes(self._model)
            folder.refuse_full(needed, "the weights, and the last and the next adapter")
        else:
            folder.refuse_full(2 * whole, "two copies of the weights, the last and the next")
        return folder

    def refuse_others(self) -> None:
        """Ask the server which weights it holds.

        Raises:
            VllmError: if they are not those that were sent last.
        """
        held = self._held()
        if held != self._digest:
            raise VllmError(
                "other-weights",
                f"the server holds weights {held!r}, and {self._digest!r} were sent: it was "
                "restarted, or another run sent its own. Use one server per run, and start this "
                "run again from its last state",
            )

    def _send_whole(self, folder: WeightsFolder) -> Path:
        """Send all weights, with adapters merged; return their folder. Collective."""
        sent, digest = write_weights(self._model, folder)
        self._put(digest, lambda: self._load(sent))
        self.served_model = self._server.served_model
        return sent

    def _send_adapter(self, folder: WeightsFolder) -> Path:
        """Send the adapter, after the weights below it where they are needed; return its folder.

        Collective.
        """
        sent, digest = write_adapter(self._model, folder)
        lora_rank = adapter_rank(self._model)

        def adapt() -> None:
            self._adapters.replace(sent, digest, lora_rank)

        loads: list[Callable[[], None]] = [adapt]
        base, base_digest = fingerprint(frozen(self._model)), self._base_digest
        if self._needs_base(base):
            # An adapter that does not fit is refused before the base is written.
            together(lambda: adapt() if self._leads else None)
            below, base_digest = write_weights(self._model, folder, merged=False)
            refuse_other_names(self._model, below)
            loads.insert(0, lambda: self._load(below))
        version = hashlib.sha256(f"{base_digest} {digest}".encode()).hexdigest()
        self._put(f"sha256:{version}", *loads)
        self._base, self._base_digest = base, base_digest
        self.served_model = self._adapters.name(digest)
        return sent

    def _needs_base(self, base: list[int]) -> bool:
        """Return whether any server lacks the weights below the adapter. Collective.

        A server that was restarted meanwhile has those of its own folder.
        """
        lacking: list[bool] = []
        together(lambda: lacking.append(self._leads and self._held() != self._digest))
        return any(exchange_json([base != self._base, *lacking] != [False, False]))

    def _sends_adapter(self) -> bool:
        """Return whether the policy has an adapter, and all servers take it. Collective."""
        if not adapter_weights(self._model):
            return False
        if self._takes_adapters is None:
            taking: list[bool] = []
            together(lambda: taking.append(self._adapters.are_taken()) if self._leads else None)
            count = sum_over_ranks({"taking": float(sum(taking))})["taking"]
            self._takes_adapters = count == len(self._server.urls)
            report("vllm", 0, 0, message=_WAYS[self._takes_adapters])
        return self._takes_adapters

    def _put(self, version: str, *loads: Callable[[], None]) -> None:
        """Load what has been written into each server, and name its version. Collective."""

        def put() -> None:
            # A load that fails halfway leaves weights that belong to no version.
            self._name_version(f"loading {version}")
            for load in loads:
                load()
            # What is cached of contexts was computed with the weights before.
            if self._client.post("/reset_prefix_cache", {}).get("success") is not True:
                raise VllmError(
                    "shared-server",
                    "the server could not clear its prefix cache, so it is serving another run's "
                    "requests: give each run its own server",
                )
            self._name_version(version)

        together(lambda: put() if self._leads else None)
        self._digest = version

    def _held(self) -> JsonValue:
        """Return the version of the weights that the server holds."""
        return self._client.get("/weight_info").get("weight_version")

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


def together(act: Callable[[], None]) -> None:
    """Do something on every rank. Collective.

    Raises:
        VllmError: on all ranks if it fails on any, so that no rank waits for one that has ended.
    """
    failed: VllmError | None = None
    try:
        act()
    except VllmError as error:
        failed = error
    said = exchange_json([failed.code, str(failed)] if failed is not None else [])
    if failed is not None:
        raise failed
    for number, of_rank in enumerate(said):
        if isinstance(of_rank, list) and of_rank:
            raise VllmError(str(of_rank[0]), f"on rank {number}: {of_rank[1]}")
