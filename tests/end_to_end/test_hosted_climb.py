"""A climb as a cluster runs it: each task's container command, one after another, on local paths.

What they leave is what local execution finds finished: hosted and local are the same.
"""

import importlib
import os
import re
from pathlib import Path

import pytest

from lineage.records.record import Records
from lineage.store.store import open_store
from tasks.contracts.handover import StageLabel
from tasks.evaluate.settings import EvaluationSettings
from tasks.evaluate.task import score_teacher
from tasks.platform.step_runner import find_finished
from tasks.release.task import collect_domain, release_teacher, resolve_checkpoint
from tasks.rl.task import climb as climb_task
from tasks.sft.task import finetune
from tests.support.container import Container
from tests.support.tiny_faculty import PACKAGE, climb

pytestmark = pytest.mark.slow

TEAM = f"{PACKAGE}.shout"
FIRST_LINE = re.compile(r"shout rl (\d+)/")


class Pods:
    """Runs tasks in containers of their own, with the team's package as in their image."""

    def __init__(self, folder, path):
        self.folder, self.count = folder, 0
        # The container's own variables come before the test's.
        self.environment = {"PYTHONPATH": os.pathsep.join([str(path), str(Path.cwd())])}

    def container(self, task, **inputs):
        self.count += 1
        return Container(task, self.folder / f"pod{self.count}", inputs)

    def output(self, task, **inputs):
        """Run a task and return its output as Flyte would hand it on."""
        ended = self.container(task, **inputs).run(**self.environment)
        assert ended.error is None, ended.error.message
        return ended.output(task)


@pytest.fixture
def pods(fork_point, teams_on_path, tmp_path):
    return Pods(tmp_path / "pods", teams_on_path)


@pytest.fixture
def numbers(teams_on_path):
    """The team's settings."""
    return importlib.import_module(f"{TEAM}.settings")


def precursor_of(pods, numbers):
    start = pods.output(resolve_checkpoint, reference="fork-point@released")
    domain = pods.output(collect_domain, package=TEAM, settings=numbers.DOMAIN, seed=0)
    stage = StageLabel(name="shout sft", owner=numbers.DOMAIN.owner)
    data = [domain.demonstrations]
    precursor = pods.output(
        finetune, start=start, data=data, settings=numbers.SFT, seed=0, stage=stage
    )
    return start, domain, precursor


def test_local_execution_finds_what_containers_have_made(pods, numbers):
    start, domain, precursor = precursor_of(pods, numbers)
    ladder = pods.output(climb_task, start=precursor, domain=domain, settings=numbers.RL, seed=0)
    settings = EvaluationSettings(sampling=numbers.RL.sampling)
    card = pods.output(
        score_teacher, fork_point=start, ladder=ladder, domain=domain, settings=settings
    )
    release = pods.output(release_teacher, ladder=ladder, domain=domain, scorecard=card)
    [attestation] = Records(open_store()).attestations(release.record)
    assert attestation.execution == "f1"
    assert attestation.task == "tasks.release.task.release_teacher"
    assert find_finished(lambda: climb(TEAM)) == release


def test_a_machine_that_is_taken_away_costs_one_step(pods, numbers):
    _, domain, precursor = precursor_of(pods, numbers)
    longer = numbers.RL.loop.model_copy(update={"num_steps": 300, "rung_every": 100})
    settings = numbers.RL.model_copy(update={"loop": longer})
    inputs = {"start": precursor, "domain": domain, "settings": settings, "seed": 0}
    pod = pods.container(climb_task, **inputs)

    first = pod.interrupt(0, "shout rl", **pods.environment)
    assert first.code == 0
    assert first.is_recoverable
    assert "climb was stopped (SIGTERM)" in first.error.message
    [state] = [key for key in open_store().keys("projects") if "/states/" in key]
    assert state

    second = pod.run(1, **pods.environment)
    assert second.error is None, second.error.message
    resumed_at = int(FIRST_LINE.search(second.said)[1])
    assert resumed_at > 1
    ladder = second.output(climb_task)
    assert [rung.step for rung in ladder] == [100, 200, 300]
    [attestation] = Records(open_store()).attestations(ladder[-1].checkpoint.record)
    assert attestation.attempt == 1
