"""Which faults another attempt may not meet, and how an attempt ends when it is asked to."""

import errno
import os
import signal
import time

import pytest

from lineage.errors import CorruptError, StoreFullError, StoreUnfitError, UnreachableError
from lineage.store.store import FolderStore
from tasks.platform.attempt import (
    NOTICE,
    InterruptedAttemptError,
    TimeLimitError,
    may_pass,
    watched_attempt,
)
from tasks.platform.resume import JsonPart, States


def raised_from(error, cause):
    error.__cause__ = cause
    return error


def rank_is_gone():
    from torch.distributed import DistNetworkError

    return DistNetworkError("the connection was closed")


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError(),
        OSError(errno.ESTALE, "stale file handle"),
        OSError(errno.EIO, "input/output error"),
        UnreachableError("S3 did not answer"),
        InterruptedAttemptError("the machine is wanted back"),
        raised_from(StoreUnfitError("cannot be used"), UnreachableError("no answer")),
        rank_is_gone(),
    ],
)
def test_faults_of_storage_network_and_ranks_may_pass(error):
    assert may_pass(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("num_steps is -1"),
        KeyError("math"),
        CorruptError("the bytes are others"),
        StoreFullError("no space"),
        OSError(errno.ENOSPC, "no space"),
        FileNotFoundError(errno.ENOENT, "no such file"),
        PermissionError(errno.EACCES, "denied"),
        TimeLimitError("too long"),
        RuntimeError("CUDA out of memory"),
        raised_from(RuntimeError("wrong"), ValueError("num_steps is -1")),
    ],
)
def test_bad_input_full_disks_and_bugs_do_not_pass(error):
    assert not may_pass(error)


def ask(number=signal.SIGTERM):
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # the handler runs between two instructions of this thread


def attempt(body, name="climb", limit=None):
    with watched_attempt(name, limit) as notice:
        body(notice)


def test_an_attempt_without_states_ends_at_once():
    before = signal.getsignal(signal.SIGTERM)
    reached = []

    def body(notice):
        ask()
        reached.append("further")

    with pytest.raises(InterruptedAttemptError, match="climb"):
        attempt(body)
    assert reached == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_attempt_with_states_puts_one_away_first(tmp_path):
    done = {"step": 0}
    part = JsonPart(lambda: done["step"], lambda state: done.update(step=state))
    states = States(FolderStore(tmp_path / "store"), "sha256:" + "ab" * 32, {"part": part})

    def body(notice):
        states.restore()
        for step in range(1, 10):
            if step == 4:
                ask()
            done["step"] = step
            states.save_if_due(step)

    with pytest.raises(InterruptedAttemptError):
        attempt(body)
    assert done["step"] == 4
    done["step"] = 0
    assert states.restore() == 4
    assert done["step"] == 4


def test_a_second_request_to_stop_ends_at_once():
    reached = []

    def body(notice):
        notice.keep_states()
        ask()
        reached.append(notice.is_given)
        ask()
        reached.append("further")

    with pytest.raises(InterruptedAttemptError):
        attempt(body)
    assert reached == [True]


def test_a_time_limit_ends_an_attempt():
    started = time.monotonic()
    with pytest.raises(TimeLimitError, match=r"finetune .*0\.001 minutes"):
        attempt(lambda notice: time.sleep(5), "finetune", 0.06)
    assert time.monotonic() - started < 2


def test_a_stop_requested_of_one_attempt_does_not_end_the_next():
    with watched_attempt("climb", None) as notice:
        notice.keep_states()
        ask()
    assert not NOTICE.is_given  # nor what the process does in between
    with watched_attempt("climb", None):
        NOTICE.raise_given()
        assert not NOTICE.is_given


@pytest.mark.parametrize(
    ("status", "code", "later"),
    [(503, "SlowDown", True), (429, "TooManyRequests", True), (403, "AccessDenied", False)],
)
def test_a_busy_server_may_answer_later_and_a_refusal_stays(status, code, later):
    from botocore.exceptions import ClientError

    from lineage.store.s3_calls import Calls

    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error = Calls("models", "knock").failed(
        "put_object", "blobs/a", ClientError(answer, "PutObject")
    )
    assert isinstance(error, UnreachableError) is later
    assert may_pass(error) is later
