"""What each team and pipeline would register: its own and nobody else's, with all that a pod needs.

One process imports flytekit and forks one child for each package, because Flyte's entities are a
process's: whoever imports two packages would register both.
"""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tasks.platform.resources import Stage, load_flavor
from workflows.commands.faculty import PIPELINES, place_of, teams

pytestmark = pytest.mark.medium  # all entities are declared, in a process of their own

ROOT = Path(__file__).resolve().parents[2]
NAMES = [*teams(), *(name for name in PIPELINES if name != "recipes")]
"""Recipes are registered in tests/hosted/test_registration.py; they take many more tasks."""
DIGEST = "@sha256:" + "a" * 64
BOUND = {name: f"registry.example.org/provost/{name}{DIGEST}" for name in ("cpu", "train")}

CLIMB = {
    "evaluate.task.score_teacher",
    "release.task.check_climb",
    "release.task.collect_domain",
    "release.task.release_teacher",
    "release.task.resolve_checkpoint",
    "rl.task.climb",
    "sft.task.finetune",
}
FOUNDATION = {
    "release.task.collect_blend",
    "release.task.register_checkpoint",
    "sft.task.finetune",
    "sft.task.make_base",
}
CONSOLIDATION = {
    "evaluate.task.score_consolidation",
    "gate.task.compare_with_outcome",
    "gate.task.make_plan",
    "gate.task.measure_remedies",
    "gate.task.measure_teachers",
    "controls.task.train_arm",
    "controls.task.train_off_policy",
    "merge.task.merge_controls",
    "release.task.publish_student",
    "sft.task.warm_up_student",
}
GATE = {"gate.task.probe_teachers"}
AUDIT = {"attribution.task.run_audit", "attribution.task.scale_teachers", "mopd.task.retrain"}
USED = {
    **dict.fromkeys(teams(), CLIMB),
    "foundation": FOUNDATION,
    "consolidation": CONSOLIDATION,
    "gate": GATE,
    "audit": AUDIT,
}
STEPS = {
    **{team: {"evaluate", "release", "rl", "sft"} for team in teams()},
    "foundation": {"release", "sft"},
    # Remedies train, and so do controls, and teachers that climb again.
    "consolidation": {"controls", "evaluate", "gate", "merge", "mopd", "refresh", "release", "sft"},
    "gate": {"gate"},
    "audit": {"attribution", "mopd"},
}
LAUNCHED = {
    **{team: {"workflow.climb"} for team in teams()},
    "foundation": {"foundation"},
    "consolidation": {
        "workflow.consolidate",
        "workflow.consolidate_refreshed",
        "workflow.consolidate_reviewed",
    },
    "gate": {"gate"},
    "audit": {"audit", "rehearsal", "surgery"},
}

PARTS = {
    "workflows.consolidation.stages.carry_out",
    "workflows.consolidation.workflow.consolidate_once",
}

PROGRAM = """
import json, os, sys
from pathlib import Path
from google.protobuf.json_format import MessageToDict
import tasks.platform.hosting  # once for all children; it declares no entity
from workflows.commands.faculty import place_of
from workflows.commands.flyte import identifier, kind_of
from workflows.commands.registration import Registration

def entities_of(name, images):
    wanted = Registration(place_of(name), "staging", "v1", images)
    return [
        {
            "kind": kind_of(entity),
            "name": identifier(entity).name,
            "project": identifier(entity).project,
            "content": MessageToDict(entity.to_flyte_idl()),
        }
        for entity in wanted.entities(Path.cwd())
    ]

images, folder, *names = json.loads(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]
for name in names:
    if os.fork() == 0:
        (folder / name).write_text(json.dumps(entities_of(name, images)))
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def entities(tmp_path_factory):
    """Return what a package would register under a flavor."""

    @cache
    def of(flavor, *names):
        folder = tmp_path_factory.mktemp("entities")
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(BOUND), str(folder), *names],
            cwd=ROOT,
            env={**os.environ, "PROVOST_FLAVOR": flavor},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        assert {file.name for file in folder.iterdir()} == set(names), run.stderr
        return {name: json.loads((folder / name).read_text()) for name in names}

    return of


def named(found, kind):
    return {entity["name"] for entity in found if entity["kind"] == kind}


@pytest.mark.parametrize("name", NAMES)
def test_each_registers_its_own_workflows_and_the_tasks_that_it_uses(entities, name):
    found = entities("cpu", *NAMES)[name]
    place = place_of(name)
    assert {entity["project"] for entity in found} == {place.project}
    workflows = named(found, "workflow")
    assert all(flow.startswith(f"{place.package}.") for flow in workflows)
    assert workflows >= {f"{place.package}.{flow}" for flow in LAUNCHED[name]}
    # Each has its default launch plan, but for what is a part of another.
    parts = PARTS if name == "consolidation" else set()
    assert workflows & named(found, "launch plan") == workflows - parts
    assert parts <= workflows
    tasks = {task.removeprefix("tasks.") for task in named(found, "task")}
    assert tasks >= USED[name]
    # A module of tasks comes whole, so a few are there that no workflow of the package uses.
    assert {task.partition(".")[0] for task in tasks} <= STEPS[name]


def test_launch_plans_run_as_the_service_account_of_their_project(entities):
    for name, found in entities("cpu", *NAMES).items():
        accounts = {
            entity["content"]["spec"]["securityContext"]["runAs"]["k8sServiceAccount"]
            for entity in found
            if entity["kind"] == "launch plan"
        }
        assert accounts == {place_of(name).project}


def test_executions_are_found_by_team_and_version(entities):
    for name, found in entities("cpu", *NAMES).items():
        told = [
            entity["content"]["spec"]["labels"]["values"]
            for entity in found
            if entity["kind"] == "launch plan"
        ]
        wanted = {"provost.project": place_of(name).project, "provost.version": "v1"}
        assert told == [wanted] * len(told)


def test_a_teams_climb_runs_once_at_a_time_and_a_pipeline_without_limit(entities):
    for name, found in entities("cpu", *NAMES).items():
        limits = {
            entity["content"]["spec"].get("concurrencyPolicy", {}).get("max")
            for entity in found
            if entity["kind"] == "launch plan"
        }
        assert limits == ({1} if name in teams() else {None})


@pytest.mark.parametrize(
    ("package", "name", "maps"),
    [
        ("audit", "audit.audit", {"replay": Stage.AUDIT, "retrain": Stage.MOPD_ROUND}),
        (
            "consolidation",
            "consolidation.stages.carry_out",
            {"off-policy": Stage.SFT, "arms": Stage.MOPD_ROUND},
        ),
    ],
)
def test_items_of_a_map_task_are_retried_as_their_stage_says(entities, package, name, maps):
    stages = load_flavor("cpu").stages
    [flow] = [
        entity["content"]["template"]
        for entity in entities("cpu", *NAMES)[package]
        if (entity["kind"], entity["name"]) == ("workflow", f"workflows.{name}")
    ]
    wanted = {node: stages[stage].retries for node, stage in maps.items()}
    arrays = {node["id"]: node for node in flow["nodes"] if "arrayNode" in node}
    found = {name: node["metadata"]["retries"]["retries"] for name, node in arrays.items()}
    assert found == wanted
    items = {name: node["arrayNode"]["node"]["metadata"] for name, node in arrays.items()}
    assert {name: metadata["retries"]["retries"] for name, metadata in items.items()} == wanted


def templates(found):
    return {
        entity["name"].removeprefix("tasks."): entity["content"]["template"]
        for entity in found
        if entity["kind"] == "task"
    }


def test_no_interface_of_a_task_or_a_workflow_is_a_pickle(entities):
    told = json.dumps(entities("cpu", *NAMES))
    assert "o0" in told
    assert "Pickle" not in told


def test_a_cpu_cluster_gives_every_task_its_image_limits_and_flavor(entities):
    for found in entities("cpu", *NAMES).values():
        for name, template in templates(found).items():
            container, metadata = template["container"], template["metadata"]
            assert container["image"] == BOUND["cpu"], name
            assert {"key": "PROVOST_FLAVOR", "value": "cpu"} in container["env"]
            assert {"key": "FLYTE_INTERNAL_IMAGE", "value": BOUND["cpu"]} in container["env"]
            asked = container["resources"]
            assert asked["requests"] == asked["limits"]
            assert {entry["name"] for entry in asked["limits"]} >= {"CPU", "MEMORY"}
            assert metadata["retries"]["retries"] >= 2
            assert metadata["timeout"].endswith("s")
            assert metadata["podTemplateName"] == "provost-cpu"


@pytest.mark.slow  # a launcher of several ranks imports torch where it is declared
def test_a_round_on_h100_is_two_pods_of_eight_ranks(entities):
    found = entities("h100", "math", "consolidation")["consolidation"]
    distil = templates(found)["mopd.task.distil_rounds"]
    assert distil["type"] == "pytorch"  # the training operator's
    assert distil["custom"]["workerReplicas"] == {"replicas": 2}
    elastic = distil["custom"]["elasticConfig"]
    assert (elastic["minReplicas"], elastic["maxReplicas"]) == (2, 2)
    assert elastic["nprocPerNode"] == 8
    assert distil["metadata"]["interruptible"] is False


@pytest.mark.slow
def test_a_climb_on_h100_is_eight_ranks_on_spot_machines(entities):
    wanted = load_flavor("h100").stages[Stage.CLIMB]
    climb = templates(entities("h100", "math", "consolidation")["math"])["rl.task.climb"]
    container, metadata = climb["container"], climb["metadata"]
    assert climb["type"] == "python-task"  # one pod needs no operator
    assert container["image"] == BOUND["train"]
    asked = {entry["name"]: entry["value"] for entry in container["resources"]["limits"]}
    assert asked == {
        "CPU": "96",
        "MEMORY": "1200Gi",
        "GPU": "8",
        "EPHEMERAL_STORAGE": wanted.disk,
    }
    assert climb["extendedResources"]["gpuAccelerator"]["device"] == "nvidia-h100"
    assert climb["extendedResources"]["sharedMemory"]["sizeLimit"] == "256Gi"
    assert metadata["interruptible"] is True
    assert metadata["retries"]["retries"] == wanted.retries
    assert metadata["timeout"] == f"{wanted.time_limit_minutes * 60}s"
    assert metadata["podTemplateName"] == "provost-gpu"


def test_every_task_has_its_teams_key_in_a_file_that_graders_do_not_see(entities):
    for found in entities("cpu", *NAMES).values():
        for template in templates(found).values():
            [secret] = template["securityContext"]["secrets"]
            assert (secret["group"], secret["key"]) == ("provost-signing", "key")
            assert secret["envVar"] == "PROVOST_SIGNING_KEY_FILE"
            assert secret["mountRequirement"] == "FILE"
