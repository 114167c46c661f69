"""What Flyte's console shows of a failure: its box has three lines, its lists 100 characters."""

import pytest

from tests.hosted.test_container import SHOWN
from tests.support import failing_task
from tests.support.container import Container


@pytest.mark.medium
def test_a_fault_of_code_says_what_first_and_keeps_its_frames(tmp_path):
    pod = Container(failing_task.fail, tmp_path / "pod", {"name": "math"})
    error = pod.run().error
    assert error.code == "USER:KeyError"
    assert "KeyError: 'math'" in error.message[:SHOWN]
    assert "in fail" in error.message
    assert '.py", line' in error.message


@pytest.mark.medium
def test_the_log_does_not_end_with_the_sessions_that_flytekit_leaves_open(tmp_path):
    left = Container(failing_task.leave_open, tmp_path / "pod", {}).run()
    assert left.error is None
    assert "Unclosed" not in left.said
