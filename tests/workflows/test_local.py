"""Local execution with what it lacks: retries of faults that may pass, time limits, an end."""

import json
import os
import signal
import time

import pytest
from flytekit import workflow

from tasks.platform.hosting import hosted
from tasks.platform.resources import Stage, local_limits
from workflows.commands import local

MET: list[int] = []


@hosted(Stage.PLAN)
def meet(faults: int, kind: str) -> int:
    """Fail so many times, then return which attempt this is."""
    MET.append(int(os.environ["FLYTE_ATTEMPT_NUMBER"]))
    if len(MET) <= faults:
        raise {"network": ConnectionResetError, "input": ValueError}[kind]("as told")
    return MET[-1]


@hosted(Stage.PLAN)
def blunder(kind: str) -> int:
    """Fail as a bug does."""
    if kind == "key":
        return {"a": 1}["b"]
    if kind == "unpack":
        first, second = [1, 2, 3]
        return first + second
    return len(json.loads("no JSON"))


@hosted(Stage.PLAN)
def terminate() -> int:
    """Be asked to end, as by a demo that is stopped."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
    return 0


@workflow
def meeting(faults: int, kind: str) -> int:
    return meet(faults=faults, kind=kind)


@workflow
def blundering(kind: str) -> int:
    return blunder(kind=kind)


@workflow
def termination() -> int:
    return terminate()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    MET.clear()
    monkeypatch.delenv("PROVOST_FLAVOR", raising=False)
    monkeypatch.setattr(local, "LONGEST_WAIT_SECONDS", 0.0)
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_transient_fault_is_retried_and_reported(capsys):
    assert local.run_locally(meeting, faults=2, kind="network") == 2
    assert MET == [0, 1, 2]
    said = capsys.readouterr().err
    assert "ConnectionResetError: as told" in said
    assert "retry 2 of 2 of plan" in said
    assert "FLYTE_ATTEMPT_NUMBER" not in os.environ


def test_a_stage_has_as_many_attempts_as_its_declaration_says(capsys):
    allowed = local_limits(Stage.PLAN).retries
    with pytest.raises(SystemExit, match="1"):
        local.run_locally(meeting, faults=100, kind="network")
    assert len(MET) == allowed + 1
    assert "provost: ConnectionResetError: as told (3 attempts)" in capsys.readouterr().err


def test_bad_input_is_not_tried_again(capsys):
    with pytest.raises(SystemExit, match="1"):
        local.run_locally(meeting, faults=1, kind="input")
    assert MET == [0]
    assert capsys.readouterr().err.strip() == "provost: as told"


@pytest.mark.parametrize(
    ("kind", "error"),
    [("key", KeyError), ("unpack", ValueError), ("library", json.JSONDecodeError)],
)
def test_a_bug_keeps_its_traceback(kind, error):
    with pytest.raises(error) as raised:
        local.run_locally(blundering, kind=kind)
    assert "blunder" in [entry.name for entry in raised.traceback]


def test_a_request_to_end_is_not_a_fault(capsys):
    with pytest.raises(SystemExit, match="143"):
        local.run_locally(termination)
    assert "terminate was stopped (SIGTERM)" in capsys.readouterr().err


def test_a_time_limit_is_kept_by_local_execution_and_not_tried_again(monkeypatch, capsys):
    minutes = local_limits(Stage.PLAN).time_limit_minutes
    wanted = local_limits(Stage.PLAN).model_copy(update={"time_limit_minutes": 0.001})
    assert minutes >= 1
    monkeypatch.setattr("tasks.platform.hosting.local_limits", lambda stage: wanted)
    monkeypatch.setattr(os, "kill", lambda process, number: None)
    with pytest.raises(SystemExit, match="1"):
        local.run_locally(termination)
    assert "terminate ran past its limit of 0.001 minutes" in capsys.readouterr().err


@hosted(Stage.PLAN)
def begin() -> int:
    """Begin what will be signed at its end."""
    MET.append(0)
    return 0


@workflow
def beginning() -> int:
    return begin()


@pytest.mark.parametrize(
    ("written", "refusal"),
    [
        (None, "the signing key cannot be read"),
        (b"\xff\xfe", "the signing key cannot be read"),
        (b"ssh-ed25519 AAAA", "PEM private key"),
    ],
)
def test_an_invalid_signing_key_is_reported_at_the_start(
    monkeypatch, tmp_path, capsys, written, refusal
):
    MET.clear()
    file = tmp_path / "key.pem"
    if written is not None:
        file.write_bytes(written)
    monkeypatch.setenv("PROVOST_SIGNING_KEY_FILE", str(file))
    with pytest.raises(SystemExit, match="1"):
        local.run_locally(beginning)
    assert MET == []
    assert refusal in capsys.readouterr().err
