"""Training states more often than a run saves them, for tests that kill it."""

import math

from tasks.platform import resume


def save_states_often(set_attribute=setattr, seconds=0.0):
    """Save a state after each step, or each ``seconds`` and save's length; disks count for nothing.

    ``set_attribute`` is a monkeypatch's, unless the process is the test's own.
    """
    set_attribute(resume, "_LEAST_SECONDS", seconds)
    set_attribute(resume, "_LEAST_MULTIPLE", seconds)
    set_attribute(resume, "_SHARE_OF_ROOM", math.inf)
