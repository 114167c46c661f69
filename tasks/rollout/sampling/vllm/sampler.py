"""Samples model turns with a vLLM server; its log-probabilities are the behavior policy's.

Token ids go out and token ids come back; text is never tokenized again. Each context is a request
of its own, with a seed that is made from its row of noise, so the same noise asks for the same
text. vLLM's own kernels may round otherwise in other company, so that is as repeatable as its
batches are; the transformers engine is repeatable to the bit.

The server is started as ``images/rollout`` says: with ``VLLM_SERVER_DEV_MODE=1`` for the control
routes, ``--generation-config vllm`` for no sampling habits of its own, and, for a temperature other
than 1, ``--logprobs-mode processed_logprobs``.
"""

import hashlib
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from pydantic import JsonValue
from torch import Tensor
from transformers import PreTrainedModel

from tasks.contracts.refusal import RefusedError
from tasks.model.log_probs import chosen_logits, pad_right, token_log_probs
from tasks.platform.ranks import num_ranks, rank
from tasks.rollout.sampling.sampler import ModelTurn
from tasks.rollout.sampling.vllm.client import VllmClient, VllmError, read_turn
from tasks.rollout.sampling.vllm.probe import most_shared
from tasks.rollout.sampling.vllm.versions import refuse_other_versions, server_version
from tasks.rollout.sampling.vllm.weights import ServedWeights, together
from tasks.rollout.settings import SamplingSettings, VllmServer


class VllmSampler:
    """Samples with a server that holds a copy of a policy's weights."""

    def __init__(
        self,
        model: PreTrainedModel,
        end_id: int,
        settings: SamplingSettings,
        other_ends: Collection[int] = (),
    ) -> None:
        """Take a policy in this process, and check that the server is up and serves such a model.

        A turn ends with ``end_id``, or with one of ``other_ends``.

        Of several ranks each samples with one of the servers, in turn. Constructing is collective.

        Raises:
            RefusedError: if the settings name no server, or more servers than there are ranks.
            VllmError: if a server does not answer, serves other models alone, or is of another
                version than the others.
        """
        if settings.vllm is None:
            raise RefusedError(
                "no-server", "the settings have no vLLM server: set vllm, or use transformers"
            )
        self._model, self._end_id, self._settings = model, end_id, settings
        self._ends = [end_id, *sorted({*other_ends} - {end_id})]
        _refuse_idle_servers(settings.vllm)
        urls = settings.vllm.urls
        self._server = settings.vllm.model_copy(update={"url": urls[rank() % len(urls)]})
        self._client = VllmClient(self._server)
        self._weights = ServedWeights(self._client, settings.vllm, model)
        self._longest, self._version = 0, ""
        together(self._look)
        refuse_other_versions(self._server.url, self._version)
        self._is_probed = False
        self._sends = num_ranks() == 1

    def sample(
        self,
        contexts: Sequence[Sequence[int]],
        noise: Tensor,
        pixels: Sequence[Tensor | None] = (),
    ) -> list[ModelTurn]:
        """Return one turn for each context, by the current policy.

        Raises:
            ValueError: if a context and its turn do not fit into what the server takes.
            VllmError: if the server fails, or its answers are not those of the policy.
        """
        assert not pixels, "make_sampler refuses a policy that reads images"
        self._refuse_too_long(contexts)
        if self._sends:
            self.update()
        turns = self.begun(contexts, noise, self._settings.max_new_tokens)
        # A server that was restarted meanwhile answers with the weights of its own folder.
        self._weights.refuse_others()
        if self._sends and not self._is_probed:
            self._refuse_other_policy(contexts, turns)
            self._is_probed = True
        return turns

    def begun(self, contexts: Sequence[Sequence[int]], noise: Tensor, most: int) -> list[ModelTurn]:
        """Return the first ``most`` tokens of each turn, by the weights that the server holds."""
        with ThreadPoolExecutor(min(self._server.concurrency, len(contexts))) as pool:
            seeds = map(_seed_of, noise)
            return list(pool.map(partial(self._turn, most), contexts, seeds))

    def update(self) -> None:
        """Send the policy's weights if they changed. Collective.

        A process that samples alone does it itself, unless it was to ``wait_for_updates``. Of
        several ranks, which sample a different number of batches, all call it before any of them
        samples, and compare log-probabilities with the policy's when all have.
        """
        if self._weights.bring_up_to_date():
            self._is_probed = False

    def wait_for_updates(self) -> None:
        """Sample from now on with the weights of the last ``update``, whatever the policy becomes.

        The caller then compares log-probabilities. A call of ``sample`` reads no weights and needs
        no other rank, so a thread can make it while the policy trains.
        """
        self._sends = False

    def _turn(self, most: int, context: Sequence[int], seed: int) -> ModelTurn:
        try:
            answer = self._client.post("/v1/completions", self._request(context, seed, most))
        except VllmError as error:
            if error.code == "no-route":  # an adapter goes with the server that held it
                self._weights.refuse_others()
            raise
        ids, nats = read_turn(answer, context, self._weights.served_model, self._ends, most)
        return ModelTurn(tuple(ids), tuple(nats), ended=ids[-1] in self._ends)

    def _request(self, context: Sequence[int], seed: int, most: int) -> dict[str, JsonValue]:
        """Return the request body: sample from the full distribution, without truncation."""
        return {
            "model": self._weights.served_model,
            "prompt": list(context),
            "max_tokens": most,
            "temperature": self._settings.temperature,
            "seed": seed,
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            # These tokens alone end a turn: they are named, and the server's own idea is ignored.
            "ignore_eos": True,
            "stop_token_ids": list[JsonValue](self._ends),
            "logprobs": 0,  # those of the tokens that it chose, and of no others
            "return_token_ids": True,
            "add_special_tokens": False,
        }

    def _look(self) -> None:
        """Check that this rank's server is up and serves such a model."""
        self._longest = self._served_length()
        self._version = server_version(self._client)

    def _served_length(self) -> int:
        """Return the number of tokens that the server accepts."""
        served = self._client.get("/v1/models").get("data")
        models = (
            [one for one in served if isinstance(one, dict)] if isinstance(served, list) else []
        )
        for model in models:
            length = model.get("max_model_len")
            if model.get("id") == self._server.served_model and isinstance(length, int):
                return length
        raise VllmError(
            "other-served-model",
            f"the server at {self._server.url} serves {[one.get('id') for one in models]} and not "
            f"{self._server.served_model!r}: start it with --served-model-name, or set "
            "vllm.served_model to a model that it serves",
        )

    def _refuse_too_long(self, contexts: Sequence[Sequence[int]]) -> None:
        longest, most = max(map(len, contexts)), self._settings.max_new_tokens
        if longest + most > self._longest:
            raise RefusedError(
                "context-too-long",
                f"a context of {longest} tokens and {most} new ones do not fit into the "
                f"{self._longest} that the server accepts: shorten the prompt, lower "
                "max_new_tokens, or start the server with a larger --max-model-len",
            )

    @torch.no_grad()
    def _refuse_other_policy(
        self, contexts: Sequence[Sequence[int]], turns: Sequence[ModelTurn]
    ) -> None:
        """Compare some turns' log-probabilities with those that the policy itself gives them."""
        some = [(contexts[place], turns[place]) for place in most_shared(contexts)]
        ids = [[*context, *turn.ids] for context, turn in some]
        flags = [[False] * len(context) + [True] * len(turn.ids) for context, turn in some]
        batch = pad_right(ids, flags, self._end_id).to(self._model.device)
        was_training = self._model.training
        self._model.eval()
        logits_NV = chosen_logits(self._model, batch, self._settings.temperature)
        self._model.train(was_training)
        own_N = token_log_probs(logits_NV, batch.tokens_N).cpu()
        served_N = torch.tensor([nats for _, turn in some for nats in turn.log_probs])
        refuse_gap(float((own_N - served_N).abs().mean()), self._server)


def refuse_gap(gap: float, server: VllmServer) -> None:
    """Raise VllmError for a mean difference of log-probabilities, in nats per token, above limit.

    NaN is above it.
    """
    if not gap <= server.max_log_prob_gap:
        raise VllmError(
            "other-log-probabilities",
            f"the server's log-probabilities are {gap:.3g} nats per token away from the policy's, "
            f"and may be {server.max_log_prob_gap:g} (vllm.max_log_prob_gap): it serves another "
            "model than this one, has not loaded the weights that were sent, or reports them "
            "before the temperature (start it with --logprobs-mode processed_logprobs)",
        )


def _refuse_idle_servers(server: VllmServer) -> None:
    if len(server.urls) > num_ranks():
        raise RefusedError(
            "idle-servers",
            f"the settings name {len(server.urls)} vLLM servers for {num_ranks()} ranks, and a "
            "rank samples with one: name as many servers as ranks at most",
        )


def _seed_of(noise_T: Tensor) -> int:
    """Return a 63-bit seed that differs wherever the noise does."""
    return int.from_bytes(hashlib.sha256(noise_T.double().numpy().tobytes()).digest()[:8]) >> 1
