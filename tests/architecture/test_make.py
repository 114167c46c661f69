"""The make targets and the script of all checks, without running what they run."""

import os
import re
import shutil
import socket
import subprocess
import sys

import pytest

from tests.support.project_files import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="no make on this machine")
TARGETS = [
    "help",
    "setup",
    "tools",
    "demo",
    "test",
    "test-medium",
    "test-all",
    "test-engines",
    "lint",
    "ui",
    "cluster-up",
    "cluster-down",
    "clean-runs",
]


TAKEN = re.findall(r"^(\w+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE)
"""Variables that `make PYTHON=... test` hands to the tests, and through them to this make."""


def make(*arguments):
    command = ["make", "-C", str(ROOT), "--no-print-directory", *arguments]
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MAKE") and name not in TAKEN
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_what_the_tests_were_started_with_does_not_reach_it(monkeypatch, tmp_path):
    planned = [make("-n", "test", f"VENV={tmp_path}/venv").stdout]
    for name in ("PYTHON", "WORKERS"):
        monkeypatch.setenv(name, "other")
    planned.append(make("-n", "test", f"VENV={tmp_path}/venv").stdout)
    assert planned[0] == planned[1]


def test_make_alone_lists_every_target():
    listed = re.findall(r"^make ([a-z-]+) +\S", make().stdout, re.MULTILINE)
    assert listed == TARGETS


@pytest.mark.parametrize(
    "target", ["tools", "demo", "test", "test-medium", "test-all", "test-engines", "lint", "ui"]
)
def test_a_target_sets_itself_up_in_a_fresh_checkout(target, tmp_path):
    planned = make("-n", target, f"VENV={tmp_path}/venv").stdout
    assert planned.index("pip install") < planned.index(
        f"{tmp_path}/venv/bin", planned.index("touch")
    )


def test_the_demo_installs_no_development_tools(tmp_path):
    assert ".[dev]" not in make("-n", "demo", f"VENV={tmp_path}/venv").stdout
    assert ".[dev]" in make("-n", "test", f"VENV={tmp_path}/venv").stdout


def test_an_environment_that_does_not_start_is_made_again(tmp_path):
    broken = tmp_path / "venv" / "bin"
    broken.mkdir(parents=True)
    (broken.parent / ".ready").touch()
    planned = make("-n", "demo", f"VENV={broken.parent}").stdout
    assert f"{broken.parent} does not work" in planned
    assert "pip install" in planned
    assert not broken.exists()


def test_a_python_of_another_version_is_named(tmp_path):
    other = tmp_path / "python9"
    other.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 9.1 && exit 0\nexit 1\n')
    other.chmod(0o755)
    refused = make("setup", f"PYTHON={other}", f"VENV={tmp_path}/venv")
    assert refused.returncode != 0
    assert "Python 9.1; Python 3.11 or 3.12" in refused.stderr
    assert not (tmp_path / "venv").exists()


FAKE = """#!/bin/sh
case "$*" in
*urlopen*) exit $PROBE ;;
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"-m pip config list") echo "$CONFIG" ;;
"-m pip install"*) echo "$*" >"$LOG" ;;
esac
"""
"""A Python that suits, makes an environment of itself, and writes down what pip is asked."""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no build with CUDA")
@pytest.mark.parametrize(
    ("gpu", "config", "answers", "without_cuda"),
    [
        (False, "", 0, True),
        (False, "", 1, False),
        (True, "", 0, False),
        (False, "global.index-url='https://mirror/simple'", 0, False),
        (False, ":env:.extra-index-url='https://mirror/simple'", 0, False),
    ],
)
def test_a_machine_without_a_gpu_gets_no_cuda(
    tmp_path, monkeypatch, gpu, config, answers, without_cuda
):
    tools = tmp_path / "tools"
    tools.mkdir()
    # All of a shell's tools but nvidia-smi.
    for name in (
        "sh",
        "bash",
        "make",
        "uname",
        "grep",
        "awk",
        "mkdir",
        "cp",
        "touch",
        "rm",
        "expr",
    ):
        (tools / name).symlink_to(shutil.which(name))
    (tools / "getconf").symlink_to(shutil.which("getconf"))
    python = tools / "python3.11"
    python.write_text(FAKE)
    python.chmod(0o755)
    if gpu:
        (tools / "nvidia-smi").symlink_to(python)
    told = {"PATH": tools, "LOG": tmp_path / "log", "CONFIG": config, "PROBE": answers}
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))
    done = make("setup", f"VENV={tmp_path}/venv")
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "log").read_text()
    assert asked.rstrip().endswith("-e .")
    index = "--extra-index-url https://download.pytorch.org/whl/cpu "
    assert (index in asked) == without_cuda


def test_nothing_is_installed_again_until_the_dependencies_change(tmp_path):
    ready = tmp_path / ".ready"
    ready.touch()
    (tmp_path / ".ready-to-develop").touch()
    assert "pip install" not in make("-n", "test", f"VENV={tmp_path}").stdout
    os.utime(ready, (1, 1))  # older than constraints.txt
    assert "pip install" in make("-n", "test", f"VENV={tmp_path}").stdout


def test_a_machine_without_a_suitable_python_gets_an_instruction(tmp_path):
    refused = make("setup", "PYTHON=", f"VENV={tmp_path}/venv")
    assert refused.returncode != 0
    assert "No Python 3.11 or 3.12" in refused.stderr
    assert not (tmp_path / "venv").exists()


def test_the_page_of_runs_says_when_there_is_nothing_to_show(tmp_path):
    (tmp_path / ".ready").touch()
    refused = make("ui", f"VENV={tmp_path}", f"PROVOST_HOME={tmp_path}")
    assert refused.returncode != 0
    assert "run 'make demo' first" in refused.stderr


def test_the_page_of_runs_says_when_its_port_is_taken(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    for name in (".ready", "mlflow.db"):
        (tmp_path / name).touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = make("ui", f"PORT={port}", f"VENV={tmp_path}", f"PROVOST_HOME={tmp_path}")
    assert refused.returncode != 0
    assert f"Port {port} is not free" in refused.stderr


def test_the_page_of_runs_is_for_this_machine_only():
    assert "--host 127.0.0.1" in make("-n", "ui").stdout


def test_runs_are_deleted_although_their_trees_are_read_only(tmp_path):
    tree = tmp_path / "runs" / "store" / "trees" / "ab"
    tree.mkdir(parents=True)
    (tree / "model").touch(mode=0o444)
    tree.chmod(0o555)
    shutil.copy(ROOT / "Makefile", tmp_path)
    command = ["make", "-C", str(tmp_path), "clean-runs", f"VENV={tmp_path}/venv"]
    subprocess.run(command, check=True, capture_output=True)
    assert not (tmp_path / "runs").exists()


def test_the_script_of_all_checks_can_be_run():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
