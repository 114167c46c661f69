"""Objects of one S3 bucket, as the store needs them: created once, read whole, sent in parts.

The only module that imports boto3, and late. Works with AWS and with what speaks its protocol; the
endpoint and the credentials are boto3's own (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, roles ...).
"""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from lineage.errors import LineageError, UnreachableError
from lineage.store.s3_answers import CLAIM, ObjectState, UploadedPart, checksum, date_of, state_of

if TYPE_CHECKING:
    from botocore.client import BaseClient

_ATTEMPTS = 6
_GONE = {"404", "NoSuchKey", "NotFound", "NoSuchUpload"}
_TAKEN = {"412", "PreconditionFailed"}
_DENIED = {"403", "AccessDenied"}
_AGAIN = {"409", "ConditionalRequestConflict"}
"""Errors when two writers met: a retry gets a plain answer. botocore retries busy servers."""
_COMPLETE = "complete_multipart_upload"
_SERVER_FAULT = 500
_COME_AGAIN = {408, 429}

Answer = TypeVar("Answer")


class RemoteError(LineageError):
    """An error that S3 answered, or no answer."""


class ForbiddenError(RemoteError):
    """An action that the role of the credentials forbids."""


class NoAnswerError(RemoteError, UnreachableError):
    """No answer from S3, or a server that was too busy; the same call may succeed later."""


class Bucket:
    """One bucket under one prefix. Keys are relative to the prefix."""

    def __init__(self, bucket: str, prefix: str) -> None:
        """Connect to ``bucket``; nothing is sent yet."""
        self._client = _client(_ATTEMPTS, connect_seconds=5, read_seconds=60)
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._ahead = 0.0

    def answers(self) -> None:
        """Request an object that does not exist, without retries.

        Raises NoAnswerError if the server does not answer; a refusal is an answer.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        impatient = _client(attempts=2, connect_seconds=3, read_seconds=5)
        try:
            impatient.head_object(Bucket=self._bucket, Key=f"{self._prefix}probe/knock")
        except (BotoCoreError, ClientError) as error:
            if _may_answer_later(error):
                raise self._failed("head_object", error) from error

    def head(self, key: str) -> ObjectState | None:
        """Return an object's state, or None if it does not exist."""
        try:
            answer = self._call("head_object", Key=self._prefix + key, ChecksumMode="ENABLED")
        except KeyError:
            return None
        return state_of(key, answer["ContentLength"], answer, self._now(answer))

    def get(self, key: str) -> bytes | None:
        """Return an object's bytes, or None if it does not exist. Not verified."""
        try:
            return self._read(key, {})
        except KeyError:
            return None

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """Return the bytes from ``start`` up to ``stop``. Not verified."""
        try:
            data = self._read(key, {"Range": f"bytes={start}-{stop - 1}"})
        except KeyError as error:
            raise RemoteError(f"{key} was deleted while it was read; run again") from error
        if len(data) != stop - start:
            raise RemoteError(
                f"{key}: requested {stop - start} bytes, received {len(data)}; run again"
            )
        return data

    def create(self, key: str, data: bytes, claim: str) -> bool:
        """Create an object unless it exists; say whether this call, ``claim``, created it."""
        try:
            self._call(
                "put_object",
                Key=self._prefix + key,
                Body=data,
                ChecksumSHA256=checksum(data),
                IfNoneMatch="*",
                Metadata={CLAIM: claim},
            )
        except FileExistsError:
            # an answer that got lost is sent again and then meets its own object
            state = self.head(key)
            return state is not None and state.claim == claim
        return True

    def put(self, key: str, data: bytes) -> None:
        """Create or replace a marker object."""
        self._call("put_object", Key=self._prefix + key, Body=data, ChecksumSHA256=checksum(data))

    def delete(self, key: str) -> None:
        """Delete an object; one that is gone is fine."""
        self._call("delete_object", Key=self._prefix + key)

    def states(self, prefix: str) -> Iterator[ObjectState]:
        """Yield the objects under a prefix, by key."""
        token: dict[str, str] = {}
        while True:
            answer = self._call("list_objects_v2", Prefix=self._prefix + prefix, **token)
            now = self._now(answer)
            for row in answer.get("Contents", []):
                yield state_of(row["Key"].removeprefix(self._prefix), row["Size"], row, now)
            if not answer.get("IsTruncated"):
                return
            token = {"ContinuationToken": answer["NextContinuationToken"]}

    def begin(self, key: str) -> str:
        """Begin an upload in parts, or find one of the same object that was cut off."""
        answer = self._call("list_multipart_uploads", Prefix=self._prefix + key)
        for upload in answer.get("Uploads", []):
            if upload["Key"] == self._prefix + key:
                return str(upload["UploadId"])
        name = self._prefix + key
        return str(
            self._call("create_multipart_upload", Key=name, ChecksumAlgorithm="SHA256")["UploadId"]
        )

    def parts(self, key: str, upload: str) -> dict[int, UploadedPart]:
        """Return the parts that S3 has of an upload, by number."""
        found: dict[int, UploadedPart] = {}
        marker: dict[str, int] = {}
        while True:
            answer = self._call("list_parts", Key=self._prefix + key, UploadId=upload, **marker)
            for row in answer.get("Parts", []):
                checked = row.get("ChecksumSHA256", "")
                number = row["PartNumber"]
                found[number] = UploadedPart(number, row["Size"], row["ETag"], checked)
            if not answer.get("IsTruncated"):
                return found
            marker = {"PartNumberMarker": answer["NextPartNumberMarker"]}

    def send_part(self, key: str, upload: str, number: int, data: bytes) -> UploadedPart:
        """Send one part with its checksum, which S3 compares."""
        name, checked = self._prefix + key, checksum(data)
        answer = self._call(
            "upload_part",
            Key=name,
            UploadId=upload,
            PartNumber=number,
            Body=data,
            ChecksumSHA256=checked,
        )
        return UploadedPart(number, len(data), answer["ETag"], checked)

    def complete(
        self, key: str, upload: str, parts: list[UploadedPart], *, replace: bool = False
    ) -> bool:
        """Make the parts one object, unless it exists or ``replace``; say whether it was made.

        Raises:
            KeyError: for an upload that is gone, or that S3 wants sent again in a new one.
        """
        rows = [
            {"PartNumber": part.number, "ETag": part.etag, "ChecksumSHA256": part.checksum}
            for part in parts
        ]
        condition = {} if replace else {"IfNoneMatch": "*"}
        try:
            self._call(
                _COMPLETE,
                Key=self._prefix + key,
                UploadId=upload,
                MultipartUpload={"Parts": rows},
                **condition,
            )
        except FileExistsError:  # made by another writer
            return False
        except KeyError:
            if not replace and self.head(key) is not None:  # made by a call with a lost answer
                return False
            self.abort(key, upload)
            raise
        return True

    def abort(self, key: str, upload: str) -> None:
        """Abort an upload and free its parts."""
        try:
            self._call("abort_multipart_upload", Key=self._prefix + key, UploadId=upload)
        except KeyError:
            return

    def _read(self, key: str, what: dict[str, str]) -> bytes:
        """Read a complete body; request it again if the connection breaks."""
        from botocore.exceptions import BotoCoreError

        for attempt in range(_ATTEMPTS):
            answer = self._call("get_object", Key=self._prefix + key, **what)
            try:
                data: bytes = answer["Body"].read()
            except BotoCoreError as error:
                if attempt == _ATTEMPTS - 1:
                    raise NoAnswerError(
                        f"reading {key} failed {_ATTEMPTS} times ({error}): check the network; a "
                        "rerun continues from here"
                    ) from error
                time.sleep(min(4.0, 0.1 * 2**attempt))
            else:
                return data
        raise AssertionError("the loop returns or raises")

    def _call(self, operation: str, **arguments: object) -> dict[str, Any]:
        """Call S3; KeyError for what is not there, FileExistsError for a condition that failed."""
        from botocore.exceptions import BotoCoreError, ClientError

        for attempt in range(_ATTEMPTS):
            try:
                call: Callable[..., dict[str, Any]] = getattr(self._client, operation)
                return call(Bucket=self._bucket, **arguments)
            except ClientError as error:
                code = str(error.response.get("Error", {}).get("Code", ""))
                # After a conflict at its end, S3 wants the parts in a new upload.
                if code in _GONE or (code in _AGAIN and operation == _COMPLETE):
                    raise KeyError(arguments.get("Key")) from error
                if code in _TAKEN:
                    raise FileExistsError(arguments.get("Key")) from error
                if code not in _AGAIN or attempt == _ATTEMPTS - 1:
                    raise self._failed(operation, error) from error
                time.sleep(min(4.0, 0.1 * 2**attempt))
            except BotoCoreError as error:
                raise self._failed(operation, error) from error
        raise AssertionError("the loop returns or raises")

    def _now(self, answer: dict[str, Any]) -> float:
        """Return the server's time, since 1970 in seconds, at an answer.

        Ages rest on one clock: an object's date is the server's. For an answer without a date, the
        clocks differ by as much as at the last one that had it.
        """
        date = date_of(answer)
        if date is not None:
            self._ahead = date - time.time()
        return time.time() + self._ahead

    def _failed(self, operation: str, error: Exception) -> RemoteError:
        return _kind_of(error)(
            f"S3 request {operation} failed in bucket {self._bucket!r}: {error}. Check the "
            "bucket's name, AWS_ENDPOINT_URL and the credentials; acknowledged writes are kept, "
            "and a rerun continues from there"
        )


def _client(attempts: int, connect_seconds: float, read_seconds: float) -> "BaseClient":
    """Return boto3's client, which tries each call so often and waits so long."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=32,
        s3={"addressing_style": "path"},
    )
    return boto3.session.Session().client("s3", config=config)


def _kind_of(error: Exception) -> type[RemoteError]:
    from botocore.exceptions import ClientError

    if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in _DENIED:
        return ForbiddenError
    return NoAnswerError if _may_answer_later(error) else RemoteError


def _may_answer_later(error: Exception) -> bool:
    """Return whether an error is the network's or a busy server's, rather than the request's."""
    from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return status >= _SERVER_FAULT or status in _COME_AGAIN
    return isinstance(error, (ConnectionError, HTTPClientError))
