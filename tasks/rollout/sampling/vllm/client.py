"""Speaks with a vLLM server over HTTP, in JSON, and checks its turns token by token.

Requests to a server that is starting or overloaded (503, 429, or connection refused) are retried
until the timeout. Any other error is final and quotes the server. The timeout is that of the whole
request, also where a server sends a byte now and then.
"""

import json
import math
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import cast
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from lineage.errors import CodedError
from tasks.rollout.sampling.vllm.deadline import BoundedResponse, seconds_left
from tasks.rollout.settings import VllmServer

_LATER = {429, 503}
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 5.0
_NUM_SHOWN = 400
ROUNDED = 1e-6
"""Tolerance by which a log-probability may exceed 0."""


class VllmError(CodedError, RuntimeError):
    """The server refused, did not answer in time, or gave an unusable answer."""


class VllmClient:
    """Requests to one server; safe to use from several threads."""

    def __init__(self, server: VllmServer) -> None:
        """Take the address; nothing is sent yet."""
        self._url, self._timeout = server.url, server.timeout_seconds

    def get(self, path: str) -> dict[str, JsonValue]:
        """Return what the server answers, a JSON object.

        Raises:
            VllmError: without a usable answer in time.
        """
        return self._read(f"GET {self._url}{path}", self._ask("GET", path, None))

    def post(self, path: str, body: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Send a JSON object; return what the server answers, ``{}`` where it answers nothing.

        Raises:
            VllmError: without a usable answer in time.
        """
        return self._read(f"POST {self._url}{path}", self._ask("POST", path, json.dumps(body)))

    def tell(self, path: str, body: Mapping[str, JsonValue]) -> None:
        """Send a JSON object to a route that answers in words.

        Raises:
            VllmError: if the server refuses, or does not answer in time.
        """
        self._ask("POST", path, json.dumps(body))

    def _ask(self, method: str, path: str, body: str | None) -> str:
        """Return the text that the server answers a request with."""
        until, wait = time.monotonic() + self._timeout, _FIRST_WAIT
        while True:
            why = f"connection refused at {self._url}"
            try:
                status, text = self._send(method, path, body, until)
            except ConnectionRefusedError:
                status, text = 503, ""
            except (OSError, HTTPException) as error:
                raise VllmError(
                    "no-answer",
                    f"{method} {self._url}{path} got no answer ({error!r}): check the server's "
                    f"log; an answer may take {self._timeout:g} s (vllm.timeout_seconds)",
                ) from error
            if status not in _LATER:
                return self._accepted(f"{method} {self._url}{path}", status, text)
            why = f"it says {status} {text[:_NUM_SHOWN]!r}" if text else why
            if time.monotonic() + wait > until:
                raise VllmError(
                    "not-ready",
                    f"{method} {self._url}{path} got no valid answer for {self._timeout:g} s: "
                    f"{why}; start the server, raise the timeout (vllm.timeout_seconds), or send "
                    "fewer requests at once (vllm.concurrency)",
                )
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _send(self, method: str, path: str, body: str | None, until: float) -> tuple[int, str]:
        parts = urlsplit(self._url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(str(parts.hostname), parts.port, timeout=seconds_left(until))
        connection.response_class = cast("type[HTTPResponse]", partial(BoundedResponse, until))
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read().decode("utf-8", "replace")
        finally:
            connection.close()

    def _accepted(self, asked: str, status: int, text: str) -> str:
        if status == 404:
            raise VllmError(
                "no-route",
                f"{asked}: the server has no such route or model; it must be vLLM as locked in "
                f"images/rollout, and its control routes need VLLM_SERVER_DEV_MODE=1. It says "
                f"{text[:_NUM_SHOWN]!r}",
            )
        if not 200 <= status < 300:
            raise VllmError("refused", f"{asked} was refused with {status}: {text[:_NUM_SHOWN]!r}")
        return text

    def _read(self, asked: str, text: str) -> dict[str, JsonValue]:
        try:
            answer = json.loads(text) if text.strip() else {}
        except json.JSONDecodeError as error:
            raise VllmError(
                "not-json", f"{asked} was not answered with JSON: {text[:_NUM_SHOWN]!r}"
            ) from error
        if not isinstance(answer, dict):
            raise VllmError(
                "not-json", f"{asked} was not answered with a JSON object: {text[:_NUM_SHOWN]!r}"
            )
        return answer


class _Answered(BaseModel):
    """The fields that are needed; vLLM sends more."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _LogProbs(_Answered):
    token_logprobs: list[float]


class _Choice(_Answered):
    token_ids: list[int]
    prompt_token_ids: list[int]
    logprobs: _LogProbs
    finish_reason: str


class _Usage(_Answered):
    completion_tokens: int


class _Completion(_Answered):
    model: str
    choices: list[_Choice]
    usage: _Usage


def read_turn(
    answer: JsonValue,
    context: Sequence[int],
    served_model: str,
    end_ids: Collection[int],
    max_new_tokens: int,
) -> tuple[list[int], list[float]]:
    """Return a turn's token ids and their log-probabilities in nats.

    Raises:
        VllmError: if a field is missing, or the answer does not match the request.
    """
    try:
        completion = _Completion.model_validate(answer)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'the answer'}: {one['msg']}"
            for one in error.errors()
        )
        raise VllmError(
            "missing-field",
            f"the answer lacks what a rollout needs ({wrong}): the server must be vLLM as locked "
            "in images/rollout, which returns token ids and log-probabilities on request",
        ) from error
    problem = _problem(completion, context, served_model, end_ids, max_new_tokens)
    if problem:
        raise problem
    choice = completion.choices[0]
    return choice.token_ids, [min(nats, 0.0) for nats in choice.logprobs.token_logprobs]


def _problem(
    completion: _Completion,
    context: Sequence[int],
    served_model: str,
    end_ids: Collection[int],
    max_new_tokens: int,
) -> VllmError | None:
    """Return what is wrong with an answer, or None."""
    if completion.model != served_model:
        return VllmError(
            "other-model", f"the answer is from {completion.model!r}, not from {served_model!r}"
        )
    if len(completion.choices) != 1:
        return VllmError(
            "several-turns", f"the answer holds {len(completion.choices)} turns instead of one"
        )
    choice = completion.choices[0]
    if choice.prompt_token_ids != list(context):
        return VllmError(
            "other-context",
            f"the server read {len(choice.prompt_token_ids)} tokens where {len(context)} others "
            "were sent: its tokenizer must not add token ids",
        )
    counts = (
        len(choice.token_ids),
        len(choice.logprobs.token_logprobs),
        completion.usage.completion_tokens,
    )
    if len(set(counts)) != 1 or not 1 <= counts[0] <= max_new_tokens:
        return VllmError(
            "other-counts",
            f"the answer holds {counts[0]} tokens and {counts[1]} log-probabilities, reports "
            f"{counts[2]} tokens, and may hold 1 to {max_new_tokens}",
        )
    if not all(math.isfinite(nats) and nats <= ROUNDED for nats in choice.logprobs.token_logprobs):
        return VllmError(
            "not-a-log-probability",
            "a log-probability of the answer is not a finite number of at most 0",
        )
    return _wrong_end(choice, end_ids, max_new_tokens)


def _wrong_end(choice: _Choice, end_ids: Collection[int], max_new_tokens: int) -> VllmError | None:
    *before, last = (token in end_ids for token in choice.token_ids)
    right = {
        "stop": last and not any(before),
        "length": len(choice.token_ids) == max_new_tokens and not any((*before, last)),
    }
    if right.get(choice.finish_reason, False):
        return None
    return VllmError(
        "other-end",
        f"the turn ended by {choice.finish_reason!r} after {len(choice.token_ids)} tokens, the "
        f"last of them {choice.token_ids[-1]}: it must end at one of {sorted(end_ids)} or after "
        f"{max_new_tokens}; start the server with --generation-config vllm, so that it has no "
        "stop tokens of its own, and with a --max-model-len that context and turn fit into",
    )
