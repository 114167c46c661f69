"""A grader that needs a network is named, whether it raises or goes on without."""

import pytest

from tasks.rollout.client import EnvironmentFailure
from tasks.rollout.worker.client import EnvironmentWorker
from tests.support.bundles import episodes, failure, write_bundle

FETCH = "import urllib.request\nurllib.request.urlopen('http://192.0.2.1/', timeout=1)"
SWALLOW = """
import socket
try:
    socket.create_connection(("192.0.2.1", 80), timeout=1)
except OSError:
    pass
return Grade(0.0)
"""
LOOK_UP = """
import socket
try:
    socket.getaddrinfo("example.org", 80)
except OSError:
    return Grade(0.0)
"""


def test_a_grader_that_raises_without_its_network_is_named(tmp_path):
    with EnvironmentWorker(write_bundle(tmp_path, grade=FETCH)) as worker:
        error = failure(worker.grade, episodes("a"))
    assert error.code == "grader-needs-network"
    assert error.prompt_id == "p0"


def test_another_error_is_not_taken_for_it(tmp_path):
    with EnvironmentWorker(write_bundle(tmp_path, grade="return 1 / 0")) as worker:
        assert failure(worker.grade, episodes("a")).code == "environment-failed"
        worker.refuse_network()


@pytest.mark.parametrize("grade", [SWALLOW, LOOK_UP])
def test_a_grader_that_goes_on_without_its_network_is_refused(tmp_path, grade):
    with EnvironmentWorker(write_bundle(tmp_path, grade=grade)) as worker:
        worker.refuse_network()
        assert worker.grade(episodes("a"))[0].score == 0.0
        with pytest.raises(EnvironmentFailure) as caught:
            worker.refuse_network()
    assert caught.value.code == "grader-needs-network"


def test_pipes_and_sockets_within_the_machine_are_taken(tmp_path):
    grade = "import os, socket\nos.pipe()\nsocket.socketpair()\nreturn Grade(1.0)"
    with EnvironmentWorker(write_bundle(tmp_path, grade=grade)) as worker:
        assert worker.grade(episodes("a"))[0].score == 1.0
        worker.refuse_network()


def test_a_bundle_that_needs_it_at_its_start_is_named(tmp_path):
    with pytest.raises(EnvironmentFailure) as caught:
        EnvironmentWorker(write_bundle(tmp_path, top=FETCH)).__enter__()
    assert caught.value.code == "grader-needs-network"
