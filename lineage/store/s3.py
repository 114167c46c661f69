"""Objects of one S3 bucket, as the store needs them: created once, read whole, sent in parts."""

import time
from collections.abc import Iterator
from typing import Any

from lineage.store.s3_answers import CLAIM, ObjectState, UploadedPart, checksum, date_of, state_of
from lineage.store.s3_calls import COMPLETE, Calls, NoAnswerError, RemoteError, Waits


class Bucket:
    """One bucket under one prefix. Keys are relative to the prefix."""

    def __init__(self, bucket: str, prefix: str, waits: Waits | None = None) -> None:
        """Connect to ``bucket``; nothing is sent yet."""
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._calls = Calls(bucket, f"{self._prefix}probe/knock", waits)
        self._ahead = 0.0

    def answers(self) -> None:
        """Request an object that does not exist; a second time where the first got no answer.

        Raises NoAnswerError if the server does not answer; a refusal is an answer.
        """
        try:
            self._calls.probe()
        except NoAnswerError:
            self._calls.probe()

    def head(self, key: str) -> ObjectState | None:
        """Return an object's state, or None if it does not exist."""
        try:
            answer = self._calls.call("head_object", Key=self._prefix + key, ChecksumMode="ENABLED")
        except KeyError:
            return None
        return state_of(key, answer["ContentLength"], answer, self._now(answer))

    def get(self, key: str) -> bytes | None:
        """Return an object's bytes, or None if it does not exist. Not verified."""
        try:
            return self._calls.read(self._prefix + key)
        except KeyError:
            return None

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """Return the bytes from ``start`` up to ``stop``. Not verified."""
        try:
            data = self._calls.read(self._prefix + key, Range=f"bytes={start}-{stop - 1}")
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
            self._calls.call(
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
        self._calls.call(
            "put_object", Key=self._prefix + key, Body=data, ChecksumSHA256=checksum(data)
        )

    def delete(self, key: str) -> None:
        """Delete an object; one that is gone is fine."""
        self._calls.call("delete_object", Key=self._prefix + key)

    def states(self, prefix: str) -> Iterator[ObjectState]:
        """Yield the objects under a prefix, by key."""
        token: dict[str, str] = {}
        while True:
            answer = self._calls.call("list_objects_v2", Prefix=self._prefix + prefix, **token)
            now = self._now(answer)
            for row in answer.get("Contents", []):
                yield state_of(row["Key"].removeprefix(self._prefix), row["Size"], row, now)
            if not answer.get("IsTruncated"):
                return
            token = {"ContinuationToken": answer["NextContinuationToken"]}

    def begin(self, key: str) -> str:
        """Begin an upload in parts, or find one of the same object that was cut off."""
        answer = self._calls.call("list_multipart_uploads", Prefix=self._prefix + key)
        for upload in answer.get("Uploads", []):
            if upload["Key"] == self._prefix + key:
                return str(upload["UploadId"])
        name = self._prefix + key
        return str(
            self._calls.call("create_multipart_upload", Key=name, ChecksumAlgorithm="SHA256")[
                "UploadId"
            ]
        )

    def parts(self, key: str, upload: str) -> dict[int, UploadedPart]:
        """Return the parts that S3 has of an upload, by number."""
        found: dict[int, UploadedPart] = {}
        marker: dict[str, int] = {}
        while True:
            answer = self._calls.call(
                "list_parts", Key=self._prefix + key, UploadId=upload, **marker
            )
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
        answer = self._calls.call(
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
            self._calls.call(
                COMPLETE,
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
            self._calls.call("abort_multipart_upload", Key=self._prefix + key, UploadId=upload)
        except KeyError:
            return

    def _now(self, answer: dict[str, Any]) -> float:
        """Return the server's time, since 1970 in seconds, at an answer.

        Ages rest on one clock: an object's date is the server's. For an answer without a date, the
        clocks differ by as much as at the last one that had it.
        """
        date = date_of(answer)
        if date is not None:
            self._ahead = date - time.time()
        return time.time() + self._ahead
