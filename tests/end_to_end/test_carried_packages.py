"""Teams with packages of others: from the climb to a student, and what the lineage says of them."""

import json
import shutil
import subprocess
import sys

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from lineage.export.bom import bom_of
from lineage.export.licenses import license_of
from lineage.export.subject import subject_of
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from lineage.wheels import LOCK, wheels_of, write_lock
from tasks.contracts.refusal import RefusedError
from tasks.gate.plan import propose
from tasks.platform.step_runner import StepRunner
from tasks.release.checkpoints import register_checkpoint
from tasks.rollout.data_file import DataColumns
from tasks.sft.steps import make_base
from tests.support import tiny_faculty
from tests.support.refusals import provost
from tests.support.tiny_faculty import BASE, SETTINGS, WORKFLOW, climb, importable
from tests.support.wheels import locked, write_wheel
from workflows.commands.starter_data import data_starter
from workflows.commands.starter_gym import gym_starter
from workflows.commands.starting import write_starter
from workflows.consolidation.workflow import consolidate

GRADE_FROM_THE_STORE = """
import sys
for name in sys.argv[3:]:
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    sys.exit(f"{name} is importable here")
from lineage.artifacts import Artifact
from lineage.store.store import open_store
from tasks.rollout.client import Episode
from tasks.rollout.environment import Turn
from tasks.rollout.worker.client import EnvironmentWorker

with EnvironmentWorker(open_store().tree(sys.argv[1])) as worker:
    (example,) = worker.demonstrations(1, 0)
    asked = {prompt.messages: prompt for prompt in worker.prompts("train", int(sys.argv[2]), 0)}
    episodes = [
        Episode(asked[example.messages], turns)
        for turns in (example.turns, (Turn("assistant", "no idea"),))
    ]
    print([grade.score for grade in worker.grade(episodes)])
"""


def write_team(root, name, starter, counts):
    """Write a team as ``provost teacher new`` does, with the settings of a tiny climb."""
    folder = root / "teams" / name
    write_starter(folder, starter, name, f"teams.{name}", None)
    (folder.parent / "__init__.py").touch()
    settings = SETTINGS.format(name=name, num_evaluation=counts["evaluation"])
    for split in ("train", "validation"):
        settings = settings.replace(f"num_{split}=8", f"num_{split}={counts[split]}")
    (folder / "settings.py").write_text(settings)
    (folder / "workflow.py").write_text(WORKFLOW.format(package=f"teams.{name}"))


def graded_elsewhere(environment, num_train, *packages):
    """Return the scores of a right and a wrong answer, by a process without the packages."""
    command = [sys.executable, "-c", GRADE_FROM_THE_STORE, environment, str(num_train), *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def libraries(reference):
    """Return the packages in a model's bill of materials, which is valid."""
    subject = subject_of(open_store(), reference)
    bom = bom_of(subject, license_of(subject))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bom)) is None
    return {c["purl"]: c for c in bom["components"] if c["type"] == "library"}


@pytest.mark.medium
def test_a_release_says_which_packages_its_environment_carries(
    home, home_with_fork_point, tmp_path
):
    tiny_faculty.copy_home(home_with_fork_point, home)
    wheel = write_wheel(tmp_path / "in", "tally", metadata="License-Expression: MIT\n")
    grade = "import tally\nreturn Grade(tally.add(sum(map(ord, turns[-1].content)) % 2, 0))"
    package = tiny_faculty.write_team(tmp_path / "teams", "adder", package="carrying", grade=grade)
    folder = tmp_path / "teams" / "carrying" / "adder"
    lock = locked(wheel, licenses={"tally": "MIT"})
    (folder / LOCK).write_bytes(write_lock(lock))
    store = open_store()
    with importable(tmp_path / "teams"):
        with pytest.raises(RefusedError) as caught:
            climb(package)
        assert caught.value.code == "missing-wheel"
        store.put_file(wheel)
        release = climb(package)
    entry = Registry(store).resolve("adder@released")
    assert entry.digest == release.digest
    shown = provost("lineage", "show", "adder@1")
    assert "carries tally 1.0 (MIT)" in " ".join(shown.split())
    notes = propose(StepRunner(), ["adder@1"], "fork-point@released").notes
    (note,) = [each for each in notes if each.code == "carried-packages"]
    assert "tally 1.0 (MIT)" in note.evidence
    (found,) = libraries("adder@1").values()
    assert found["purl"] == "pkg:pypi/tally@1.0"
    assert found["licenses"] == [{"license": {"id": "MIT"}}]
    assert found["hashes"][0]["content"] == lock.wheels[0].digest.removeprefix("sha256:")


@pytest.mark.slow
def test_teams_of_published_packages_climb_and_merge(home, tmp_path):
    """Needs an index that pip reaches; what a release carries is then needed from nowhere."""
    data = tmp_path / "sums.jsonl"
    rows = [{"question": f"{n}/8=", "answer": rf"\frac{{{n}}}{{8}}"} for n in range(1, 151)]
    data.write_text("\n".join(map(json.dumps, rows)))
    halves, _ = data_starter(data, "math-verify", DataColumns())
    chain = gym_starter("chain_sum", {"max_terms": 2, "max_digits": 1})
    counts = {"chain": dict.fromkeys(("train", "validation", "evaluation"), 4)}
    counts["halves"] = {name: halves.counts[f"num_{name}"] for name in counts["chain"]}
    root = tmp_path / "root"
    try:
        write_team(root, "halves", halves, counts["halves"])
        write_team(root, "chain", chain, counts["chain"])
    except RefusedError as error:
        if error.code == "unresolved-requirements":
            pytest.skip(f"pip reaches no index: {error}")
        raise
    scratch = BASE.scratch.model_copy(update={"max_positions": 384})
    runner = StepRunner()
    base = make_base(runner, "", [], BASE.model_copy(update={"scratch": scratch}), 0)
    register_checkpoint(runner, "fork-point", base, "foundation")
    with importable(root):
        released = {name: climb(f"teams.{name}") for name in ("halves", "chain")}
    shutil.rmtree(root)
    shutil.rmtree(home / "cache")
    consolidate(
        teachers=[f"{name}@1" for name in released],
        mopd_steps=2,
        settings=["gate_prompts_per_domain=0"],
    )
    student = libraries("student@1")
    assert {"pkg:pypi/math-verify@0.9.0", "pkg:pypi/reasoning-gym@0.1.25"} <= student.keys()
    store = open_store()
    for name, needed in (("halves", "math_verify"), ("chain", "reasoning_gym")):
        release = subject_of(store, f"{name}@1").manifest
        assert len(wheels_of(store, release.environment.digest)) >= 4
        scores = graded_elsewhere(release.environment.digest, counts[name]["train"], needed)
        assert scores == [1.0, 0.0]
