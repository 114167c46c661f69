"""Threads of torch that wait give their core away, in every process that runs our steps."""

import os
import subprocess
import sys

import pytest

from tests.support.project_files import ROOT

COMMAND = "from workflows.commands.local import quiet; quiet(); import torch"
LIBRARY = """
from ctypes import CDLL
from importlib.util import find_spec
from pathlib import Path

def load_openmp():
    [library] = Path(find_spec("torch").origin).parent.glob("lib/libgomp*")
    CDLL(str(library))
"""
"""What of torch reads the policy: all of it takes a second to load."""
TASK = (
    LIBRARY
    + """
import sys
from tasks.platform.hosting import hosted
from tasks.platform.resources import Stage

@hosted(Stage.PLAN)
def load() -> str:
    assert "torch" not in sys.modules
    load_openmp()
    return ""

load()
"""
)


def openmp_settings(program, **variables):
    """Return what libgomp says of itself as it is loaded in a fresh process."""
    kept = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**kept, "OMP_DISPLAY_ENV": "VERBOSE", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    rows = (line.split("] ")[-1].split(" = ") for line in run.stderr.splitlines() if " = " in line)
    return {row[0].strip(): row[-1].strip().strip("'") for row in rows}


@pytest.mark.medium
def test_waiting_threads_of_a_command_do_not_spin():
    found = openmp_settings(COMMAND)
    assert (found["OMP_WAIT_POLICY"], found["GOMP_SPINCOUNT"]) == ("PASSIVE", "0")


@pytest.mark.medium
def test_waiting_threads_of_a_task_do_not_spin(tmp_path):
    (tmp_path / "loading.py").write_text(TASK)  # flytekit reads a task's module
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    found = openmp_settings("import loading", PYTHONPATH=path)
    assert (found["OMP_WAIT_POLICY"], found["GOMP_SPINCOUNT"]) == ("PASSIVE", "0")


def test_the_policy_of_the_user_counts():
    command = f"{LIBRARY}\n{COMMAND.replace('import torch', 'load_openmp()')}"
    found = openmp_settings(command, OMP_WAIT_POLICY="ACTIVE")
    assert found["OMP_WAIT_POLICY"] == "ACTIVE"
    assert int(found["GOMP_SPINCOUNT"]) > 1000
