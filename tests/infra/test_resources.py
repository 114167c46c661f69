"""Flavors of clusters, as data and as what Flyte is told."""

from datetime import timedelta

import pytest
from flytekit import task
from flytekit.configuration import ImageConfig, SerializationSettings
from flytekit.core.context_manager import FlyteEntities
from flytekit.tools.translator import get_serializable
from google.protobuf.json_format import MessageToDict
from pydantic import ValidationError

from images.names import ImageName
from tasks.platform.hosting import hosting
from tasks.platform.resources import (
    FLAVOR,
    FOLDER,
    SPREADS,
    ResourceError,
    Stage,
    chosen_flavor,
    flavor_names,
    load_flavor,
)
from tests.support.refused import faults, raised

CPU_FILE = (FOLDER / "cpu.toml").read_text()


def fault(folder, text):
    """Return what is wrong with a flavor of this text, by code."""
    (folder / "mine.toml").write_text(text)
    with pytest.raises(ResourceError) as caught:
        load_flavor("mine", folder)
    assert caught.value.code == "invalid-flavor"
    assert f"{folder.name}/mine.toml" in str(caught.value)
    cause = caught.value.__cause__
    return faults(cause) if isinstance(cause, ValidationError) else {type(cause).__name__: ""}


def test_every_flavor_there_is_is_valid():
    assert flavor_names() == ["cpu", "h100", "h200"]
    gpus = {name: load_flavor(name).gpu for name in flavor_names()}
    assert gpus == {"cpu": "", "h100": "nvidia-h100", "h200": "nvidia-h200"}


def test_the_cpu_flavor_asks_for_no_gpu_and_for_the_cpu_image_alone():
    stages = load_flavor("cpu").stages.values()
    assert {stage.gpus for stage in stages} == {0}
    assert {stage.image for stage in stages} == {ImageName.CPU}


def test_ranks_are_pods_times_gpus():
    ranks = {name: load_flavor(name).stages[Stage.MOPD_ROUND].num_ranks for name in flavor_names()}
    assert ranks == {"cpu": 1, "h100": 2 * 8, "h200": 8}


def test_without_a_flavor_nothing_is_requested(monkeypatch):
    monkeypatch.delenv(FLAVOR, raising=False)
    assert chosen_flavor() is None
    assert [hosting(stage) for stage in Stage] == [{}] * len(Stage)


def test_a_stage_of_one_pod_as_flyte_receives_it(monkeypatch):
    monkeypatch.setenv(FLAVOR, "h200")
    told = hosting(Stage.GATE_PROBE)
    assert told["container_image"] == "{{.image.train.fqn}}:{{.image.train.version}}"
    assert told["environment"] == {"PROVOST_FLAVOR": "h200"}
    assert (told["requests"].cpu, told["requests"].mem, told["requests"].gpu) == (
        "16",
        "192Gi",
        "1",
    )
    assert told["requests"].ephemeral_storage == "400Gi"
    assert told["limits"] == told["requests"]
    assert (told["interruptible"], told["retries"]) == (True, 4)
    assert told["timeout"] == timedelta(hours=4)
    assert told["shared_memory"] == "32Gi"
    assert told["accelerator"].to_flyte_idl().device == "nvidia-h200"
    assert told["pod_template_name"] == "provost-gpu"
    assert "task_config" not in told  # one rank needs no launcher


def test_a_stage_of_several_pods_is_launched_by_torch_on_as_many_nodes(monkeypatch):
    monkeypatch.setenv(FLAVOR, "h100")
    told = hosting(Stage.MOPD_ROUND)
    assert (told["task_config"].nnodes, told["task_config"].nproc_per_node) == (2, 8)
    assert told["task_config"].max_restarts == 0
    assert hosting(Stage.CLIMB)["task_config"].nnodes == 1


def serialized(monkeypatch, stage):
    """Return the template that Flyte registers for a task of a stage, as JSON."""
    monkeypatch.setattr(FlyteEntities, "entities", [])  # it lists every task there is

    @task(**hosting(stage))
    def made(seed: int) -> int:
        return seed

    images = ImageConfig.validate_image(None, "image", ["train=r/train@sha256:" + "0" * 64])
    settings = SerializationSettings(image_config=images, project="p", domain="d", version="v")
    return MessageToDict(get_serializable({}, settings, made).template.to_flyte_idl())


def test_the_serialized_task_says_it_all_and_carries_the_flavor(monkeypatch):
    monkeypatch.setenv(FLAVOR, "h100")
    template = serialized(monkeypatch, Stage.MOPD_ROUND)
    container = template["container"]
    asked = {one["name"]: one["value"] for one in container["resources"]["requests"]}
    assert asked == {"CPU": "96", "MEMORY": "1200Gi", "GPU": "8", "EPHEMERAL_STORAGE": "2Ti"}
    assert container["image"] == "r/train@sha256:" + "0" * 64
    assert {"key": "PROVOST_FLAVOR", "value": "h100"} in container["env"]
    assert template["type"] == "pytorch"
    assert template["custom"]["workerReplicas"]["replicas"] == 2
    assert template["custom"]["elasticConfig"]["nprocPerNode"] == 8
    assert template["extendedResources"]["gpuAccelerator"]["device"] == "nvidia-h100"
    assert template["extendedResources"]["sharedMemory"]["sizeLimit"] == "256Gi"
    metadata = template["metadata"]
    assert metadata["retries"]["retries"] == 6
    assert metadata["timeout"] == "259200s"  # 4320 minutes
    assert metadata["interruptible"] is False
    assert metadata["podTemplateName"] == "provost-gpu"


def test_an_unknown_flavor_is_refused_with_those_there_are(monkeypatch):
    monkeypatch.setenv(FLAVOR, "b300")
    with raised(ResourceError, "unknown-flavor", "b300", "cpu, h100, h200"):
        hosting(Stage.PLAN)


def test_a_flavor_is_a_name_and_not_a_path():
    with raised(ResourceError, "unknown-flavor", "resources/cpu"):
        load_flavor("../resources/cpu")


@pytest.mark.parametrize(
    ("change", "code", "name"),
    [
        (("[stages.merge]", "[stages.merging]"), "enum", "merging"),
        (('memory = "2Gi"', 'memory = "2GB"'), "string_pattern_mismatch", "memory"),
        (("retries = 2", "retries = 2\nspots = true"), "extra_forbidden", "spots"),
        (("retries = 2", "retries = 0\nspot = true"), "spot-without-retries", ""),
        (("retries = 2", "retries = 2\nnodes = 2"), "nodes-without-gpus", ""),
        (("retries = 2", "retries = 2\ngpus = 1"), "gpus-of-cpu-image", ""),
        (("description", "gpu = 'x'\ndescription = "), "TOMLDecodeError", ""),
    ],
)
def test_what_cannot_be_had_is_refused(tmp_path, change, code, name):
    assert name in fault(tmp_path, CPU_FILE.replace(*change, 1))[code]


def test_a_stage_without_a_table_is_named(tmp_path):
    text = CPU_FILE[: CPU_FILE.index("[stages.release]")]
    assert "release" in fault(tmp_path, text)["missing-stages"]


def test_gpus_of_no_kind_are_refused(tmp_path):
    text = (FOLDER / "h100.toml").read_text().replace('gpu = "nvidia-h100"\n', "")
    assert "no-gpu-kind" in fault(tmp_path, text)


@pytest.mark.parametrize("stage", sorted(set(Stage) - SPREADS))
def test_a_stage_of_one_process_gets_no_second_gpu(tmp_path, stage):
    table = f"[stages.{stage}]\n"
    before, after = (FOLDER / "h100.toml").read_text().split(table)
    rows, rest = after.split("\n\n", 1) if "\n\n" in after else (after, "")
    rows = rows.replace('image = "cpu"', 'image = "train"').replace("gpus = 1\n", "")
    found = fault(tmp_path, f"{before}{table}{rows.rstrip()}\ngpus = 2\n\n{rest}")
    assert stage in found["idle-ranks"]
    assert "2 " in found["idle-ranks"]
