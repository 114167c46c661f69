"""A climb by a command of the team's: what it is given, what it may leave, and how it goes on."""

import json
import sys

import pytest

from lineage.artifacts import Artifact
from tasks.contracts.handover import Domain, DomainSettings
from tasks.model.files import load_policy, save_policy
from tasks.platform.step_runner import StepRunner
from tasks.rl.external import climb_outside
from tasks.rl.external_settings import ExternalTrainer
from tasks.sft.brought import bring_base
from tests.support.mirrors import MemoryMirror
from tests.support.refused import invalid, refused
from tests.support.tiny_models import tiny_policy

TRAINER = """
import json, os, sys, time
from pathlib import Path
from safetensors.numpy import load_file, save_file  # torch would take a second to load
import shutil

job = json.loads(Path(sys.argv[1]).read_text())
output = Path(job["output"])
seen = {name: os.environ.get(name) for name in ("AWS_SECRET_ACCESS_KEY", "PROVOST_HOME", "SHARE")}
print("seen", json.dumps(seen), "resumes", job["resumes"], flush=True)
(output / "begun").touch()
if job["settings"].get("sleeps") and not job["resumes"]:
    time.sleep(60)
if job["settings"].get("fails") and not job["resumes"]:
    sys.exit("out of memory in the first attempt")
for step in job["settings"].get("leaves", job["rungs"]):
    folder = output / f"step-{step}"
    shutil.copytree(job["settings"].get("start", job["start"]), folder, dirs_exist_ok=True)
    file = folder / "model.safetensors"
    weights = {name: tensor + 0.01 * step for name, tensor in load_file(file).items()}
    folder.chmod(0o755)  # copied from the store, which is read-only
    file.chmod(0o644)
    save_file(weights, file, {"format": "pt"})
rows = [{"step": step, "reward": step / 10, "note": "text"} for step in job["rungs"]]
lines = [*map(json.dumps, rows), *job["settings"].get("lines", [])]
(output / "metrics.jsonl").write_text("\\n".join(lines))
"""


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


@pytest.fixture
def team(tmp_path):
    folder = tmp_path / "team"
    folder.mkdir()
    (folder / "train.py").write_text(TRAINER)
    return folder


@pytest.fixture
def launch(runner, team, tmp_path):
    start = bring_base(runner, str(save_policy(tiny_policy(seed=3), tmp_path / "start")))
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "environment.py").write_text("")
    part = Artifact(kind="dataset", digest=runner.store.put_bytes(b'{"id": "p"}\n'))
    domain = Domain(
        settings=DomainSettings(name="math", owner="team-math", version="1"),
        environment=Artifact(kind="environment", digest=runner.store.put_tree(tmp_path / "bundle")),
        train=part,
        validation=part,
        evaluation=part,
        demonstrations=part,
        sketches=part,
    )

    def run(limit=5.0, rungs=(1, 2), environment=None, **settings):
        trainer = ExternalTrainer(
            command=["{python}", "{folder}/train.py"],
            files=["train.py"],
            version="ours 1",
            rungs=list(rungs),
            settings=[f"{name}={json.dumps(value)}" for name, value in settings.items()],
            environment=environment or {},
            time_limit_minutes=limit,
        )
        return climb_outside(runner, start, domain, trainer, str(team), 0)

    run.start = start
    return run


def log_of(runner, rung):
    notes = runner.records.output(rung.checkpoint.record).notes
    return runner.store.get_bytes(notes["log"]).decode()


def test_it_leaves_a_ladder_with_the_account_of_the_run(runner, launch, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    first, last = launch(environment={"SHARE": "half"}, batch=4)
    assert (first.step, last.step) == (1, 2)
    derivation = runner.records.read(last.checkpoint.record)
    assert derivation.kind == "external"
    assert {item.role for item in derivation.inputs} == {
        *("start", "prompts", "environment", "trainer"),
    }
    assert derivation.settings["stop_at"] == 2
    assert derivation.settings["settings"] == ["batch=4"]
    made = runner.records.output(last.checkpoint.record)
    assert made.owner == "team-math"
    assert made.notes["exit_code"] == 0
    assert made.notes["command"][0] == sys.executable
    assert made.notes["confinement"].startswith("unconfined")
    rows = runner.store.get_bytes(made.metrics).decode()
    assert '"reward"' in rows
    assert '"note"' not in rows
    seen = json.loads(log_of(runner, last).partition("seen ")[2].partition(" resumes")[0])
    assert seen == {"AWS_SECRET_ACCESS_KEY": None, "PROVOST_HOME": None, "SHARE": "half"}
    start, end = (
        load_policy(runner.store.tree(each.digest)).model.state_dict()
        for each in (launch.start, last.checkpoint)
    )
    name = "model.norm.weight"
    assert float((end[name] - start[name]).mean()) == pytest.approx(0.02, abs=1e-5)


def test_a_finished_climb_is_found_and_a_changed_file_makes_another(runner, launch, team):
    first = launch()
    (team / "other.txt").write_text("not among its files")
    assert launch() == first
    (team / "train.py").write_text(TRAINER + "# changed\n")
    assert launch() != first


@pytest.mark.parametrize("line", ["no JSON", "[1]", '{"reward": 1}', '{"step": "one"}'])
def test_metrics_that_cannot_be_read_are_refused_by_their_line(runner, launch, line):
    with refused("unreadable-metrics", "metrics.jsonl, line 3"):  # after two rungs' rows
        launch(lines=[line])


def test_a_failure_names_code_and_log_and_the_next_launch_goes_on(runner, launch):
    with refused("trainer-failed", "exit code 1", "out of memory in the first attempt", "log.txt"):
        launch(fails=True)
    assert not [r for r in runner.records.all() if runner.records.read(r).kind == "external"]
    _, last = launch(fails=True)
    assert "resumes True" in log_of(runner, last)
    assert runner.records.output(last.checkpoint.record).notes["resumed"] is True


@pytest.mark.medium
def test_a_run_over_its_time_is_ended(launch):
    with refused("trainer-failed", "0.05 minutes"):
        launch(limit=0.05, sleeps=True)


def test_a_rung_that_is_not_there_is_refused_by_name(launch):
    with refused("missing-rung", "step-2", "step-1"):
        launch(leaves=[1])


def test_a_climb_from_another_checkpoint_is_refused(launch, tmp_path):
    other = save_policy(tiny_policy(seed=4), tmp_path / "other")
    with refused("contradicted-start", "step-1"):
        launch(start=str(other))


@pytest.mark.parametrize("name", ["none.py", "../start/config.json"])
def test_a_file_outside_the_teams_folder_is_refused(runner, launch, team, name):
    trainer = {"command": ["true"], "files": [name], "version": "1", "rungs": [1]}
    settings = ExternalTrainer(**trainer, time_limit_minutes=1)
    with refused("no-trainer-file", name):
        climb_outside(runner, launch.start, None, settings, str(team), 0)


def test_a_value_is_json_or_text():
    settings = ["rate=1e-6", "bf16=true", "optim=adamw_torch", "to=[]", "expression=a=b"]
    trainer = ExternalTrainer(
        command=["true"],
        files=["a"],
        version="1",
        rungs=[1],
        settings=settings,
        time_limit_minutes=1,
    )
    assert trainer.values() == {
        "rate": 1e-6,
        "bf16": True,
        "optim": "adamw_torch",
        "to": [],
        "expression": "a=b",
    }
    for wrong in (["rate"], ["=1"], ["rate=1", "rate=2"]):
        with invalid("bad-entry", str(wrong)):
            ExternalTrainer.model_validate(trainer.model_dump() | {"settings": wrong})


@pytest.mark.parametrize("rungs", [[2, 1], [0, 1], [1, 1]])
def test_rungs_increase_from_one(rungs):
    with invalid("unordered-rungs", str(rungs)):
        ExternalTrainer(
            command=["true"], files=["a"], version="1", rungs=rungs, time_limit_minutes=1
        )
