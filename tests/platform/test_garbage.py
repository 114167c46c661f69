"""Commands collect garbage rarely as they start, and steps as often as Python does."""

import gc
import subprocess
import sys

import pytest
from click.testing import CliRunner

from lineage.records.record import Derivation
from tasks.platform import garbage
from tasks.platform.step_runner import StepRunner
from workflows.cli import main


@pytest.fixture(autouse=True)
def restored():
    """Begin as Python does: an earlier test's command may have changed the whole process."""
    before = gc.get_threshold()
    with garbage.as_always():
        yield
    gc.set_threshold(*before)


@pytest.mark.medium
def test_a_command_collects_rarely_and_a_step_in_it_as_always(home):
    always = gc.get_threshold()
    assert CliRunner().invoke(main, ["lineage", "gc"]).exit_code == 0
    rarely = gc.get_threshold()
    assert rarely[0] > 10 * always[0]
    seen = []

    def make(folder, _):
        seen.append(gc.get_threshold())
        (folder / "out").write_text("made")
        return folder / "out"

    derivation = Derivation(kind="report", inputs=(), source="", settings={}, seed=0)
    StepRunner().find_or_make(derivation, "report", make)
    assert seen == [always]
    assert gc.get_threshold() == rarely


def test_collections_are_rare_again_after_a_step_that_fails():
    garbage.collect_rarely()
    rarely = gc.get_threshold()
    with pytest.raises(ZeroDivisionError), garbage.as_always():
        raise ZeroDivisionError
    assert gc.get_threshold() == rarely


@pytest.mark.medium
def test_a_process_ends_without_a_last_collection():
    code = """
import gc, sys
from tasks.platform.garbage import collect_rarely
collect_rarely()
held = [[] for _ in range(10)]
gc.callbacks.append(lambda phase, told: print(phase, gc.get_freeze_count() > 0, file=sys.stderr))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "start False" not in ended.stderr
