"""``pyflyte`` packages and registers each team and pipeline, and nothing of anyone else's."""

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2

from workflows.commands.faculty import PIPELINES, place_of, teams

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MESSAGES = {1: task_pb2.TaskSpec, 2: workflow_pb2.WorkflowSpec, 3: launch_plan_pb2.LaunchPlan}
SHARED_CLIMB = {
    "tasks.release.task.resolve_checkpoint",
    "tasks.release.task.check_climb",
    "tasks.release.task.collect_domain",
    "tasks.sft.task.finetune",
    "tasks.rl.task.climb",
    "tasks.evaluate.task.score_teacher",
    "tasks.release.task.release_teacher",
}
CONSOLIDATION = {
    "tasks.mopd.task.round_settings",
    "tasks.gate.task.make_plan",
    "tasks.gate.task.measure_teachers",
    "tasks.gate.task.measure_remedies",
    "tasks.gate.task.compare_with_outcome",
    "tasks.sft.task.warm_up_student",
    "tasks.mopd.task.distil_rounds",
    "tasks.mopd.task.record_failure",
    "tasks.mopd.task.record_end",
    "tasks.merge.task.merge_controls",
    "tasks.controls.task.plan_off_policy",
    "tasks.controls.task.train_off_policy",
    "tasks.controls.task.plan_arms",
    "tasks.controls.task.train_arm",
    "tasks.evaluate.task.score_consolidation",
    "tasks.release.task.publish_student",
    "tasks.evaluate.task.make_report",
}


def packaged(package, folder):
    """Package a Python package; return the names of its entities by kind: 1 task, 2 workflow."""
    out = folder / "package.tgz"
    run = subprocess.run(
        [
            *(sys.executable, "-m", "flytekit.clis.sdk_in_container.pyflyte"),
            *("--pkgs", package, "package", "--image", "example.org/provost:test"),
            *("--source", ".", "--output", str(out), "--force"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    found = {1: set(), 2: set(), 3: set()}
    with tarfile.open(out) as archive:
        for member in archive.getmembers():
            kind = int(member.name.rpartition("_")[2].removesuffix(".pb"))
            message = MESSAGES[kind].FromString(archive.extractfile(member).read())
            found[kind].add((message if kind == 3 else message.template).id.name)
    return found


@pytest.mark.parametrize("team", teams())
def test_a_team_packages_its_climb_and_no_other_workflow(team, tmp_path):
    package = f"workflows.teachers.{team}"
    found = packaged(package, tmp_path)
    assert found[2] == found[3] == {f"{package}.workflow.climb"}
    assert found[1] >= SHARED_CLIMB
    # A module of tasks comes whole, so a few of evaluate and release are there that no climb uses.
    assert {name.split(".")[1] for name in found[1]} == {"evaluate", "release", "rl", "sft"}


def test_the_consolidation_packages_itself_and_no_team(tmp_path):
    found = packaged("workflows.consolidation", tmp_path)
    assert "workflows.consolidation.workflow.consolidate" in found[2]
    assert found[1] >= CONSOLIDATION
    assert not any("workflows.teachers" in name for kind in found.values() for name in kind)


@pytest.mark.parametrize("name", [*teams(), *PIPELINES])
def test_pyflyte_would_register_the_same(name, tmp_path):
    """Flyte's own command does what ``provost register`` does, but for its checks."""
    place = place_of(name)
    folder = ROOT.joinpath(*place.package.split("."))
    source = folder if folder.is_dir() else folder.with_suffix(".py")
    digest = "@sha256:" + "a" * 64
    run = subprocess.run(
        [
            *(sys.executable, "-m", "flytekit.clis.sdk_in_container.pyflyte", "register"),
            *("--dry-run", "--copy", "none", "--project", place.project, "--domain", "staging"),
            *("--version", "v1", "--image", f"cpu=registry.example.org/provost/cpu{digest}"),
            *("--service-account", place.project, str(source)),
        ],
        cwd=ROOT,
        env={**os.environ, "PROVOST_FLAVOR": "cpu", "COLUMNS": "1000"},  # long names stay whole
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    told = set(re.findall(r"(?:Task|Workflow|Launch Plan): (\S+)", run.stdout))
    assert told
    named = {entity for kind in packaged(place.package, tmp_path).values() for entity in kind}
    assert told == named
