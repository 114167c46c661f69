"""A team climbs by TRL's GRPOTrainer, with the example that the guide names."""

import importlib.util
import json
import re
import shutil
from types import ModuleType

import pytest

from lineage.artifacts import Release, read_manifest
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tasks.model.files import load_policy
from tasks.platform.step_runner import StepRunner
from tasks.rl.external_settings import ExternalTrainer
from tasks.rollout.worker.bundle import collect
from tests.support.project_files import ROOT
from tests.support.refusals import provost
from tests.support.tiny_faculty import climb, importable, write_team

EXAMPLE = ROOT / "docs" / "examples" / "trl_grpo.py"
PACKAGE = "trl_teams"
SETTINGS = """
from tasks.contracts.handover import DomainSettings
from tasks.rl.external_settings import ExternalTrainer
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings

DOMAIN = DomainSettings(
    name="shout", owner="team-shout", version="1.0.0",
    num_train=8, num_validation=8, num_evaluation=8, num_demonstrations=8,
)
SFT = SftSettings(num_steps=2, batch_size=4, learning_rate=1e-3, warmup_steps=0)
TRAINER = ExternalTrainer(
    command=["{python}", "{folder}/train.py"],
    files=["train.py"],
    version="trl 1.16",
    rungs=[1, 2],
    settings=[
        "learning_rate=1e-2", "per_device_train_batch_size=8", "num_generations=4",
        "use_cpu=true", "bf16=false", "gradient_checkpointing=false", "logging_steps=1",
    ],
    sampling=SamplingSettings(max_new_tokens=4),
    time_limit_minutes=10,
)
"""
WORKFLOW = f'''
from flytekit import workflow

from workflows.climb import Climbed, climb_outside_and_release
from {PACKAGE}.shout.settings import DOMAIN, SFT, TRAINER


@workflow
def climb(fork_point: str = "fork-point@released", seed: int = 0) -> Climbed:
    """Climb with TRL and release a teacher."""
    return climb_outside_and_release(
        package="{PACKAGE}.shout", domain=DOMAIN, sft=SFT, trainer=TRAINER,
        fork_point=fork_point, seed=seed,
    )
'''


@pytest.fixture
def team(tmp_path):
    write_team(tmp_path / "teams", "shout", package=PACKAGE)
    folder = tmp_path / "teams" / PACKAGE / "shout"
    (folder / "settings.py").write_text(SETTINGS)
    (folder / "workflow.py").write_text(WORKFLOW)
    shutil.copy(EXAMPLE, folder / "train.py")
    with importable(tmp_path / "teams"):
        importlib.invalidate_caches()
        yield f"{PACKAGE}.shout"


def test_the_guides_trainer_is_one_as_it_is_written():
    guide = (ROOT / "docs" / "guides" / "your-own-model.md").read_text()
    [text] = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    made = ModuleType("made")
    exec(compile(text, "settings.py", "exec"), made.__dict__)  # noqa: S102 - our own page
    assert isinstance(made.TRAINER, ExternalTrainer)
    assert made.TRAINER.sampling.max_new_tokens == 256


@pytest.mark.medium
def test_the_example_refuses_an_environment_of_several_turns(tmp_path):
    package = write_team(tmp_path / "teams", "shout", package="turning_teams")
    file = tmp_path / "teams" / "turning_teams" / "shout" / "environment.py"
    file.write_text(file.read_text().replace("max_turns = 1", "max_turns = 3"))
    with importable(tmp_path / "teams"):
        bundle = collect(package, tmp_path / "bundle")
    job = {"environment": str(bundle), "domain": "shout"}  # it reads no more of it
    spec = importlib.util.spec_from_file_location("trl_example", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    with pytest.raises(SystemExit, match="shout has 3 turns"):
        example.train(job)


@pytest.mark.slow
def test_the_example_climbs_and_its_teacher_is_released(fork_point, team):
    release = climb(team)
    store = open_store()
    manifest = read_manifest(store, release.digest, Release)
    assert manifest.kind == "rl"
    assert [rung.step for rung in manifest.ladder] == [1, 2]
    assert manifest.precursor != manifest.fork_point
    assert manifest.sampling.max_new_tokens == 4
    records = StepRunner().records
    made = records.read(manifest.checkpoint.record)
    assert made.kind == "external"
    assert made.settings["version"] == "trl 1.16"
    attested = records.output(manifest.checkpoint.record)
    assert attested.notes["exit_code"] == 0
    rows = [json.loads(line) for line in store.get_bytes(attested.metrics).splitlines()]
    assert "reward" in json.dumps(rows)
    before, after = (
        load_policy(store.tree(each.digest)).model.state_dict()
        for each in (manifest.precursor, manifest.checkpoint)
    )
    assert any((after[name] != before[name]).any() for name in before), "it learned nothing"
    assert Registry(store).resolve("shout@1").digest == release.digest
    provost("lineage", "verify", "shout@1")
