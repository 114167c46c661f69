"""Calls to one S3 bucket: retried where that helps, and given up soon where no server is.

The only module that imports boto3, and late. Works with AWS and with what speaks its protocol; the
endpoint and the credentials are boto3's own (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, roles ...).

A slow server and a missing one look alike to a call that waits. So a call waits a short time, then
a probe finds out: a server that answers the probe gets a minute for the same call, and one that
does not is reported. From the last answer to the report takes less than 20 seconds, unless the
machine's name servers take longer than that to give up.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from lineage.errors import LineageError, UnreachableError

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.client import BaseClient

_ATTEMPTS = 6
_BUSY_ATTEMPTS = 3
"""Attempts by which botocore itself spaces out the calls to a busy server."""
_GONE = {"404", "NoSuchKey", "NotFound", "NoSuchUpload"}
_TAKEN = {"412", "PreconditionFailed"}
_DENIED = {"403", "AccessDenied"}
_AGAIN = {"409", "ConditionalRequestConflict"}
"""Errors when two writers met: a retry gets a plain answer."""
COMPLETE = "complete_multipart_upload"
_READ = "get_object"
_SERVER_FAULT = 500
_COME_AGAIN = {408, 429}

Answer = TypeVar("Answer")


class RemoteError(LineageError):
    """An error that S3 answered, or no answer."""


class ForbiddenError(RemoteError):
    """An action that the role of the credentials forbids."""


class NoAnswerError(RemoteError, UnreachableError):
    """No answer from S3, or a server that was too busy; the same call may succeed later."""


@dataclass(frozen=True)
class Waits:
    """Times for which calls wait for a server."""

    connect: float = 3.0
    """Seconds until a connection must be there."""
    answer: float = 8.0
    """Seconds until the first attempt of a call must hear something."""
    probe: float = 3.0
    """Seconds until a probe must be answered."""
    outage: float = 14.0
    """Seconds from the start of an attempt, in which a server that went away may come back."""
    pause: float = 1.0
    """Seconds between two probes; twice as many after each, up to 4."""
    slow: float = 60.0
    """Seconds until a further attempt must hear something, once a probe was answered."""


class Calls:
    """Calls to one bucket, on several threads at once if need be."""

    def __init__(self, bucket: str, knock: str, waits: Waits | None = None) -> None:
        """Take the bucket's name and the key of probes. Nothing is sent yet."""
        self._bucket = bucket
        self._knock = knock
        self._waits = waits or Waits()
        self._making = threading.Lock()
        self.client = self._made(1, self._waits.answer)
        """Boto3's client for the first attempt of a call."""

    @cached_property
    def _session(self) -> "Session":
        import boto3

        return boto3.session.Session()

    @cached_property
    def _prober(self) -> "BaseClient":
        return self._made(1, self._waits.probe)

    @cached_property
    def _slow(self) -> "BaseClient":
        return self._made(_BUSY_ATTEMPTS, self._waits.slow)

    def _made(self, attempts: int, read_seconds: float) -> "BaseClient":
        """Return a client of the session, which lets one thread at a time make one."""
        with self._making:
            return _client(self._session, attempts, self._waits.connect, read_seconds)

    def call(self, operation: str, **arguments: object) -> dict[str, Any]:
        """Call S3; KeyError for what is not there, FileExistsError for a condition that failed."""

        def once(client: "BaseClient") -> dict[str, Any]:
            answer: dict[str, Any] = getattr(client, operation)(Bucket=self._bucket, **arguments)
            return answer

        return self._patiently(operation, arguments.get("Key"), once)

    def read(self, key: str, **what: str) -> bytes:
        """Return an object's bytes, or the ``Range`` of them; KeyError if it does not exist."""

        def once(client: "BaseClient") -> bytes:
            answer = client.get_object(Bucket=self._bucket, Key=key, **what)
            data: bytes = answer["Body"].read()
            return data

        return self._patiently(_READ, key, once)

    def probe(self) -> None:
        """Request the state of an object that does not exist, once.

        Raises NoAnswerError if the server does not answer; a refusal is an answer.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._prober.head_object(Bucket=self._bucket, Key=self._knock)
        except (BotoCoreError, ClientError) as error:
            if _may_answer_later(error):
                raise self.failed("head_object", self._knock, error) from error

    def failed(self, operation: str, key: object, error: Exception) -> RemoteError:
        """Return the error to raise for one of botocore's."""
        of = f" of {key}" if key else ""
        return _kind_of(error)(
            f"S3 request {operation}{of} failed in bucket {self._bucket!r} at "
            f"{self.client.meta.endpoint_url}: {error}. Check the bucket's name, AWS_ENDPOINT_URL "
            "and the credentials; acknowledged writes are kept, and a rerun continues from there"
        )

    def _patiently(
        self, operation: str, key: object, once: "Callable[[BaseClient], Answer]"
    ) -> Answer:
        """Return what ``once`` returns; try again where another attempt may end better."""
        from botocore.exceptions import BotoCoreError, ClientError

        client = self.client
        for attempt in range(_ATTEMPTS):
            began = time.monotonic()
            try:
                return once(client)
            except (BotoCoreError, ClientError) as error:
                self._raise_final(operation, key, error)
                if attempt == _ATTEMPTS - 1:
                    raise self.failed(operation, key, error) from error
                if _code(error) in _AGAIN:
                    time.sleep(min(4.0, 0.1 * 2**attempt))
                    continue
            self._await_answer(began)
            client = self._slow
        raise AssertionError("the loop returns or raises")

    def _raise_final(self, operation: str, key: object, error: Exception) -> None:
        """Raise what an error means, unless another attempt may end better."""
        code = _code(error)
        # After a conflict at its end, S3 wants the parts in a new upload.
        if code in _GONE or (code in _AGAIN and operation == COMPLETE):
            raise KeyError(key) from error
        if code in _TAKEN:
            raise FileExistsError(key) from error
        if code not in _AGAIN and not _may_answer_later(error):
            raise self.failed(operation, key, error) from error

    def _await_answer(self, began: float) -> None:
        """Probe the server until it answers, for a while; raises NoAnswerError after that."""
        until, pause = began + self._waits.outage, self._waits.pause
        while True:
            try:
                self.probe()
            except NoAnswerError:
                if time.monotonic() + pause >= until:
                    raise
                time.sleep(pause)
                pause = min(4.0, 2 * pause)
            else:
                return


def _client(
    session: "Session", attempts: int, connect_seconds: float, read_seconds: float
) -> "BaseClient":
    """Return boto3's client, which tries each call so often and waits so long."""
    from botocore.config import Config

    config = Config(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=32,
        s3={"addressing_style": "path"},
    )
    return session.client("s3", config=config)


def _kind_of(error: Exception) -> type[RemoteError]:
    if _code(error) in _DENIED:
        return ForbiddenError
    return NoAnswerError if _may_answer_later(error) else RemoteError


def _code(error: Exception) -> str:
    """Return the code of an error that S3 answered, "" for any other."""
    from botocore.exceptions import ClientError

    if not isinstance(error, ClientError):
        return ""
    return str(error.response.get("Error", {}).get("Code", ""))


def _may_answer_later(error: Exception) -> bool:
    """Return whether an error is the network's or a busy server's, rather than the request's."""
    from botocore import exceptions as errors

    if isinstance(error, errors.ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return status >= _SERVER_FAULT or status in _COME_AGAIN
    broke_off = (errors.FlexibleChecksumError, errors.IncompleteReadError)
    return isinstance(error, (errors.ConnectionError, errors.HTTPClientError, *broke_off))
