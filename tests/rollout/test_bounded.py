"""A call that hangs, takes too much memory, raises or dies ends in one error, in time."""

import mmap
import os
import signal
import time

import pytest

from tasks.rollout.bounded import UnfinishedError, bounded
from tasks.rollout.environment import Grade
from tasks.rollout.worker.client import EnvironmentWorker
from tests.support.bundles import episodes, write_bundle, zombie_children


@pytest.fixture(autouse=True)
def no_zombies():
    yield
    assert zombie_children() == []


@pytest.mark.parametrize("value", [1.5, "text", None, [1, {"a": True}], "x" * 200_000])
def test_a_result_comes_back(value):
    assert bounded(lambda given: given, value) == value


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda _: time.sleep(60), "no result within 0.5 s"),
        (lambda _: 9**9**9**9, "no result within 0.5 s"),
        (lambda _: len(bytearray(2**30)), "raised MemoryError"),
        (lambda _: 1 // 0, "raised ZeroDivisionError"),
        (lambda _: exit(3), "raised SystemExit"),
        (lambda _: os._exit(0), "its process ended"),
        (lambda _: os.kill(os.getpid(), signal.SIGKILL), "its process ended"),
        (lambda _: object(), "raised TypeError"),
        (lambda _: signal.pause(), "no result"),
    ],
)
def test_what_does_not_finish_is_an_error_in_time(function, why):
    began = time.monotonic()
    with pytest.raises(UnfinishedError, match=why):
        bounded(function, None, seconds=0.5)
    assert time.monotonic() - began < 5


def test_memory_within_the_bound_is_given():
    assert bounded(lambda _: len(bytearray(2**26)), None) == 2**26


def test_memory_that_the_caller_reserved_and_never_used_does_not_count():
    """Libraries reserve a lot: threads' stacks, arenas. The kernel's limit counts all of it."""
    with mmap.mmap(-1, 2**31, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS):
        assert bounded(lambda _: len(bytearray(2**26)), None) == 2**26


def test_a_grader_in_a_worker_survives_a_call_that_hangs(tmp_path):
    top = """
from tasks.rollout.bounded import UnfinishedError, bounded

def power(text):
    return 9 ** 9 ** int(text)
"""
    grade = """
try:
    return Grade(float(bounded(power, turns[-1].content, seconds=0.5) == 9 ** 9))
except UnfinishedError as error:
    return Grade(0.0, str(error))
"""
    bundle = write_bundle(tmp_path / "team", top=top, grade=grade)
    with EnvironmentWorker(bundle) as worker:
        first, second, third = worker.grade(episodes("1", "99", "x"))
    assert first == Grade(1.0)
    assert (second.score, second.reason) == (0.0, "no result within 0.5 s")
    assert (third.score, third.reason) == (0.0, "raised ValueError")
