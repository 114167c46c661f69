"""A small HTTP server that answers as vLLM 0.32 does, over a tiny model; it can be told to fail.

It holds a model of its own and knows of the trainer's only what it is sent, as a file. The routes
and fields are those of vLLM's source; it is not vLLM, and nothing here says how fast that is.
"""

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import torch
from safetensors.torch import load_file

from tasks.model.log_probs import chosen_logits, pad_right, token_log_probs
from tasks.model.lora_factors import LoraAdapter
from tasks.rollout.sampling.transformers.sampler import TransformersSampler
from tasks.rollout.sampling.vllm.versions import LOCKED
from tasks.rollout.settings import SamplingSettings
from tests.support.tiny_models import tiny_model

NAME = "policy"
OF_NODE = "/proc/self/cwd"
"""A path that is a folder of its own for each process: where ranks stand for nodes."""


class RefusalError(Exception):
    """Status and answer of a request that is refused."""


@dataclass
class StandIn:
    """What the server is, what it was asked, and how it fails."""

    model: torch.nn.Module = field(default_factory=lambda: tiny_model(seed=77))
    longest: int = 96
    version: str | None = None
    """Version of the weights that it holds."""
    vllm_version: object = LOCKED
    asked: list[tuple[str, dict]] = field(default_factory=list)
    refuse_first: int = 0
    """So many requests are answered with 503 first."""
    delay: float = 0.0
    """Seconds before a completion is answered."""
    forgets: bool = True
    """Whether the prefix cache can be reset."""
    loads: bool = True
    """Whether weights that are sent are loaded."""
    before_temperature: bool = False
    """Whether log-probabilities are those of temperature 1, as in vLLM's mode raw_logprobs."""
    node: Path | None = None
    """The folder that ``/proc/self/cwd`` is for the ranks of its node; None for the same path."""
    lora_rank: int | None = None
    """Largest rank of adapters that it loads; with None it has no route for them."""
    adapts: bool = True
    """Whether adapters that it has loaded act."""
    adapters: dict[str, LoraAdapter] = field(default_factory=dict)
    status: int = 200
    spoil: object = None
    """A function that changes the answer to a completion."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str, body: dict) -> tuple[int, object]:
        """Return status and answer of a request."""
        with self.lock:
            self.asked.append((path, body))
            if self.refuse_first > 0:
                self.refuse_first -= 1
                return 503, {"error": {"message": "not ready"}}
        route = {
            "/version": lambda _: {"version": self.vllm_version},
            "/v1/models": self._models,
            "/v1/completions": self._completion,
            "/collective_rpc": self._reload,
            "/reset_prefix_cache": lambda _: {"success": self.forgets},
            "/update_weight_version": self._set_version,
            "/weight_info": lambda _: {"weight_version": self.version},
            **self._routes_of_adapters(),
        }.get(path)
        if route is None:
            return 404, {"detail": "Not Found"}
        try:
            return self.status, route(body)
        except RefusalError as refusal:
            return refusal.args

    def bodies(self, path: str) -> list[dict]:
        """Return what was sent to a route, in order."""
        return [body for asked, body in self.asked if asked == path]

    def _models(self, _: dict) -> dict:
        served = {"id": NAME, "object": "model", "max_model_len": self.longest}
        adapters = [{"id": name, "object": "model", "parent": NAME} for name in self.adapters]
        return {"object": "list", "data": [served, *adapters]}

    def _routes_of_adapters(self) -> dict:
        if self.lora_rank is None:
            return {}
        return {"/v1/load_lora_adapter": self._adapt, "/v1/unload_lora_adapter": self._unadapt}

    def _adapt(self, body: dict) -> bytes:
        name, path = body["lora_name"], body["lora_path"]
        if not name or not path:
            raise RefusalError(400, {"error": {"message": "Both must be provided."}})
        if name in self.adapters:
            raise RefusalError(400, {"error": {"message": "has already been loaded"}})
        adapter = LoraAdapter(self._here(path))
        rank = adapter.settings.rank
        if rank > self.lora_rank:
            said = f"LoRA rank {rank} is greater than max_lora_rank {self.lora_rank}."
            raise RefusalError(500, {"error": {"message": said}})
        self.adapters[name] = adapter
        return b"Success: LoRA adapter added successfully."

    def _here(self, path: str) -> Path:
        """Return a path that a rank gave, as this server sees it."""
        return self.node / Path(path).relative_to(OF_NODE) if self.node else Path(path)

    def _unadapt(self, body: dict) -> bytes:
        if self.adapters.pop(body["lora_name"], None) is None:
            raise RefusalError(404, {"error": {"message": "cannot be found"}})
        return b"Success: LoRA adapter removed successfully."

    def _set_version(self, body: dict) -> dict:
        self.version = body["new_version"]
        return {"success": True, "new_version": self.version}

    def _reload(self, body: dict) -> dict:
        assert body["method"] == "reload_weights"
        if self.loads:
            folder = self._here(body["kwargs"]["weights_path"])
            for file in folder.glob("*.safetensors"):
                self.model.load_state_dict(load_file(file), strict=False)
        return {"results": [None]}

    def _completion(self, body: dict) -> dict:
        time.sleep(self.delay)
        if body["model"] not in (NAME, *self.adapters):
            raise RefusalError(404, {"error": {"message": f"{body['model']} does not exist."}})
        with self.lock, self._adapted(body["model"]):
            ids, nats = self._sample(body)
        ended = ids[-1] in body["stop_token_ids"]
        choice = {
            "index": 0,
            "text": "",
            "logprobs": {"token_logprobs": nats, "tokens": [], "text_offset": []},
            "finish_reason": "stop" if ended else "length",
            "stop_reason": ids[-1] if ended else None,
            "token_ids": ids,
            "prompt_token_ids": body["prompt"],
        }
        answer = {
            "id": "cmpl-1",
            "object": "text_completion",
            "model": body["model"],
            "choices": [choice],
            "usage": {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(ids)},
        }
        if self.spoil is not None:
            self.spoil(answer)
        return answer

    @contextmanager
    def _adapted(self, name: str):
        """Let the adapter of a name act within the context."""
        adapter = self.adapters.get(name) if self.adapts else None
        handles = adapter.apply_to(self.model, torch.device("cpu")) if adapter else []
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _sample(self, body: dict) -> tuple[list[int], list[float]]:
        generator = torch.Generator().manual_seed(body["seed"])
        noise = torch.rand(1, body["max_tokens"], generator=generator)
        settings = SamplingSettings(
            temperature=body["temperature"], max_new_tokens=body["max_tokens"]
        )
        end, *others = body["stop_token_ids"]
        sampler = TransformersSampler(self.model, end, 0, settings, others)
        turn = sampler.sample([body["prompt"]], noise)[0]
        if not self.before_temperature:
            return list(turn.ids), list(turn.log_probs)
        whole = [*body["prompt"], *turn.ids]
        flags = [at >= len(body["prompt"]) for at in range(len(whole))]
        batch = pad_right([whole], [flags], 0)
        with torch.no_grad():
            nats = token_log_probs(chosen_logits(self.model, batch), batch.tokens_N)
        return list(turn.ids), nats.tolist()


@contextmanager
def serving(stand_in: StandIn):
    """Serve from a thread inside; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def _respond(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            status, answer = stand_in.answer(self.path, body)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            self._respond()

        def do_POST(self):
            self._respond()

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_):
            """A client that has given up waiting is no error here."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
