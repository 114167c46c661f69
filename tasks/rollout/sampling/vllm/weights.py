"""Puts the trainer's weights into running vLLM servers, in place, and verifies them.

vLLM has three ways to take weights while it runs. Its NCCL engine needs vLLM's own half in the
trainer, and would then dictate the trainer's torch and transformers; its IPC engine takes pickles.
The one used here reads a folder of safetensors into the tensors that the server has
(``reload_weights``, through ``/collective_rpc``), so its graphs and allocations stay. The folder is
in memory at best.

A fingerprint says whether weights have changed since, the server says which version it holds, and a
probe compares its log-probabilities with the trainer's. Of several ranks the first ones lead a
server each: they send it the weights. What fails on one rank is raised on all of them.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from pydantic import JsonValue
from transformers import PreTrainedModel

from tasks.platform.ranks import exchange, exchange_json, rank
from tasks.rollout.sampling.vllm.client import VllmClient, VllmError
from tasks.rollout.sampling.vllm.weight_files import fingerprint, write_weights
from tasks.rollout.settings import VllmServer


class ServedWeights:
    """The weights that a server holds of a policy."""

    def __init__(self, client: VllmClient, server: VllmServer, model: PreTrainedModel) -> None:
        """Take a policy, which may change its weights between calls; nothing is sent yet.

        ``server`` names all servers of the run, and ``client`` reaches this rank's.
        """
        self._client, self._model = client, model
        self._leads = rank() < len(server.urls)
        self._folder = Path(server.weights_folder)
        self._fingerprint: list[int] = []
        self._digest = ""

    def bring_up_to_date(self) -> bool:
        """Send the weights if they changed since the last time; return whether they did.

        Collective if several ranks train the policy.

        Raises:
            VllmError: if a server does not take them, or holds others than were sent.
        """
        now = fingerprint(self._model)
        if not any(exchange_json(now != self._fingerprint)):
            together(self.refuse_others)
            return False
        sent, digest = write_weights(self._model, self._folder)
        together(lambda: self._send(sent, digest) if self._leads else None)
        self._fingerprint, self._digest = now, digest
        together(self.refuse_others)
        if rank() == 0:
            for other in self._folder.iterdir():
                if other != sent:
                    shutil.rmtree(other)
        exchange("sent")
        return True

    def _send(self, sent: Path, digest: str) -> None:
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
