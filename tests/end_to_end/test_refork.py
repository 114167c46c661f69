"""What the gate asks of a teacher's owner can be launched as it stands, and is what was asked."""

import importlib
import json

import pytest
from click.testing import CliRunner

from lineage.artifacts import Release, read_manifest
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tasks.platform.step_runner import StepRunner
from tasks.release.checkpoints import register_checkpoint
from tests.support.refusals import provost, refusal
from tests.support.tiny_faculty import PACKAGE
from workflows.cli import main

SHOUT = f"{PACKAGE}.shout"


@pytest.fixture
def asked(teachers, tmp_path):
    """The request of a gate whose student starts elsewhere than its teacher; its digest, itself."""
    runner = StepRunner()
    release = Registry(runner.store).resolve("shout@1").digest
    precursor = read_manifest(runner.store, release, Release).precursor
    register_checkpoint(runner, "fork-point", precursor, "foundation")
    command = ["gate", "--teachers", "shout@1", "--student", "fork-point@2", "--out", str(tmp_path)]
    result = CliRunner().invoke(main, [*command, "--gate-prompts-per-domain", "8"])
    assert result.exit_code == 1, result.output
    [line] = [line for line in result.output.splitlines() if line.startswith("For team-shout")]
    assert f"provost run teacher {SHOUT} --request sha256:" in line
    digest = line.rpartition(" ")[2]
    assert digest in (tmp_path / "gate.html").read_text()
    return digest, json.loads((tmp_path / "refork-shout.json").read_text()), tmp_path


@pytest.mark.slow
def test_a_request_climbs_from_where_the_student_starts_with_what_the_teacher_had(asked):
    digest, request, _ = asked
    store, team = open_store(), importlib.import_module(f"{SHOUT}.settings")
    start = Registry(store).resolve("fork-point@2").digest
    assert request["owner"] == "team-shout"
    assert request["teacher"] == "teacher.shout@1"
    assert request["launch_plan"] == f"{SHOUT}.workflow.climb"
    assert request["inputs"] == {"fork_point": start, "seed": 0}
    assert any("nothing to teach" in reason for reason in request["reasons"])
    assert [stage["kind"] for stage in request["trained"]] == ["sft", "rl"]
    assert request["trained"][0]["settings"] == team.SFT.model_dump(mode="json")
    assert request["trained"][1]["settings"] == team.RL.model_dump(mode="json")
    said = provost("run", "teacher", SHOUT, "--request", digest)
    assert "teacher.shout@1 of team-shout needs to climb again" in said
    release = read_manifest(store, Registry(store).resolve("shout@2").digest, Release)
    assert release.fork_point.digest == start


@pytest.mark.slow
def test_a_request_that_would_be_another_climb_is_refused(asked, monkeypatch):
    digest, _, folder = asked
    assert "'whisper'" in refusal("run", "teacher", f"{PACKAGE}.whisper", "--request", digest)
    file = str(folder / "refork-shout.json")
    assert "--request already sets" in refusal(
        "run", "teacher", SHOUT, "--request", file, "--seed", "3"
    )
    settings = importlib.import_module(f"{SHOUT}.settings")
    faster = settings.SFT.model_copy(update={"learning_rate": 0.5})
    monkeypatch.setattr(settings, "SFT", faster)
    message = refusal("run", "teacher", SHOUT, "--request", file)
    assert "sft learning_rate: 0.001 then, 0.5 now" in message
    assert f"provost run teacher {SHOUT} --fork-point sha256:" in message
