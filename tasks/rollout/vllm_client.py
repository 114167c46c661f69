"""Speaks with a vLLM server over HTTP, in JSON. Standard library only.

A server that is starting or overloaded (503, 429, or nobody at the port) is asked again until the
time is up; any other refusal is final, and is passed on in the server's own words.
"""

import json
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from pydantic import JsonValue

from tasks.rollout.settings import VllmServer

_LATER = {429, 503}
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 5.0
_NUM_SHOWN = 400


class VllmError(RuntimeError):
    """The server refused, did not answer in time, or answered what cannot be used."""


class VllmClient:
    """Requests to one server; several threads may ask at once."""

    def __init__(self, server: VllmServer) -> None:
        """Take the address; nothing is sent yet."""
        self._url, self._timeout = server.url, server.timeout_seconds

    def get(self, path: str) -> dict[str, JsonValue]:
        """Return what the server answers, a JSON object.

        Raises:
            VllmError: without a usable answer in time.
        """
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Send a JSON object; return what the server answers, ``{}`` where it answers nothing.

        Raises:
            VllmError: without a usable answer in time.
        """
        return self._ask("POST", path, json.dumps(body))

    def _ask(self, method: str, path: str, body: str | None) -> dict[str, JsonValue]:
        until, wait = time.monotonic() + self._timeout, _FIRST_WAIT
        while True:
            why = f"nobody listens at {self._url}"
            try:
                status, text = self._send(method, path, body, max(until - time.monotonic(), 0.001))
            except ConnectionRefusedError:
                status, text = 503, ""
            except (OSError, HTTPException) as error:
                raise VllmError(
                    f"{method} {self._url}{path} got no answer ({error!r}): look at the server's "
                    f"log; an answer may take {self._timeout:g} s (vllm.timeout_seconds)"
                ) from error
            if status not in _LATER:
                return self._read(method, path, status, text)
            why = f"it says {status} {text[:_NUM_SHOWN]!r}" if text else why
            if time.monotonic() + wait > until:
                raise VllmError(
                    f"{method} {self._url}{path} was not served for {self._timeout:g} s: {why}; "
                    "start the server, give it longer (vllm.timeout_seconds), or ask it for less "
                    "at once (vllm.concurrency)"
                )
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _send(self, method: str, path: str, body: str | None, seconds: float) -> tuple[int, str]:
        parts = urlsplit(self._url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(str(parts.hostname), parts.port, timeout=seconds)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read().decode("utf-8", "replace")
        finally:
            connection.close()

    def _read(self, method: str, path: str, status: int, text: str) -> dict[str, JsonValue]:
        asked = f"{method} {self._url}{path}"
        if status == 404:
            raise VllmError(
                f"{asked}: the server has no such route; it must be vLLM as locked in "
                "images/rollout, and its control routes need VLLM_SERVER_DEV_MODE=1"
            )
        if not 200 <= status < 300:
            raise VllmError(f"{asked} was refused with {status}: {text[:_NUM_SHOWN]!r}")
        try:
            answer = json.loads(text) if text.strip() else {}
        except json.JSONDecodeError as error:
            raise VllmError(f"{asked} was answered with no JSON: {text[:_NUM_SHOWN]!r}") from error
        if not isinstance(answer, dict):
            raise VllmError(f"{asked} was answered with no JSON object: {text[:_NUM_SHOWN]!r}")
        return answer
