"""What the images are built from: pinned, locked, and refused where something is not."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from images.names import ImageName

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "images"
TOOLS = Path(sys.executable).parent
OURS = [ImageName.CPU, ImageName.TRAIN]


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(file):
    """Return {name: (version, hashes)} of a lock."""
    found = {}
    for block in re.split(r"\n(?=\S)", file.read_text().strip()):
        if block.startswith("#"):
            continue
        name, version = re.match(r"([A-Za-z0-9._-]+)(?:\[.*?\])?==([^\s\\;]+)", block).groups()
        found[canonical(name)] = version, re.findall(r"--hash=sha256:[0-9a-f]{64}\b", block)
    return found


def instructions(name):
    text = (IMAGES / name / "Dockerfile").read_text()
    text = re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("name", list(ImageName))
def test_an_image_uses_the_given_base_and_runs_as_an_unprivileged_user(name):
    lines = instructions(name)
    assert {words[1].split()[0] for words in lines if words[0] == "FROM"} == {"${BASE}"}
    assert ["ARG", "BASE"] in lines  # and no default, which would not be pinned
    assert [words[1] for words in lines if words[0] == "USER"] == ["10001:10001"]
    assert "ADD" not in {words[0] for words in lines}


@pytest.mark.parametrize("name", list(ImageName))
def test_an_image_installs_by_hash_and_builds_no_wheel(name):
    installs = [words[1] for words in instructions(name) if "pip install" in words[-1]]
    assert installs
    for line in installs:
        assert ("--require-hashes" in line and "--only-binary :all:" in line) or (
            "--no-deps --no-build-isolation --editable /provost" in line
        )


@pytest.mark.parametrize("name", list(ImageName))
def test_a_lock_names_each_package_once_with_hashes(name):
    locked = requirements(IMAGES / name / "requirements.lock")
    assert len(locked) > 150
    assert [package for package, (_, hashes) in locked.items() if not hashes] == []


@pytest.mark.parametrize("name", OURS)
def test_a_lock_of_ours_has_the_versions_of_the_constraints(name):
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    locked = requirements(IMAGES / name / "requirements.lock")
    differing = {
        package: (version, pins[package])
        for package, (version, _) in locked.items()
        if package in pins and pins[package] != version
    }
    assert differing == {}, "run images/lock.sh"


@pytest.mark.parametrize("name", OURS)
def test_a_lock_of_ours_has_all_that_the_project_requires(name):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {
        canonical(re.match(r"[\w.-]+", line)[0])
        for line in [*project["dependencies"], *extras["cluster"], *extras["lora"]]
    }
    locked = set(requirements(IMAGES / name / "requirements.lock"))
    elsewhere = {"torch"} if name is ImageName.CPU else set()  # torch.lock, by pin.sh
    assert wanted - locked == elsewhere, "run images/lock.sh"


def test_torch_without_cuda_is_the_version_of_the_constraints():
    pinned = re.search(r"^torch==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
    assert f"\ntorch=={pinned}+cpu\n" in (IMAGES / "cpu" / "torch.in").read_text()
    locked = requirements(IMAGES / "cpu" / "requirements.lock")
    assert [name for name in locked if name.startswith(("nvidia-", "cuda-", "triton"))] == []


def test_what_torch_requires_is_named_for_the_lock_that_leaves_it_out():
    """torch's own metadata, as installed here; extras and the CUDA parts aside."""
    from importlib.metadata import requires

    needed = {
        canonical(re.match(r"[\w.-]+", line)[0])
        for line in requires("torch")
        if "extra ==" not in line and "platform_system" not in line and "sys_platform" not in line
    }
    needed = {name for name in needed if not name.startswith(("nvidia-", "cuda-", "triton"))}
    locked = set(requirements(IMAGES / "cpu" / "requirements.lock"))
    assert needed - locked == set()


def uses():
    lines = (IMAGES / "upstream.txt").read_text().splitlines()
    return dict(line.split() for line in lines if not line.startswith("#"))


def test_every_image_has_a_base_and_every_upstream_image_a_full_name_and_a_tag():
    assert set(ImageName) <= set(uses())
    assert [
        image for image in uses().values() if not re.fullmatch(r"[a-z.]+/[\w./-]+:[\w.-]+", image)
    ] == []


@pytest.mark.parametrize(
    ("lock", "message"),
    [
        (None, "upstream.lock is not there, so that no base is pinned: run images/pin.sh"),
        ("cpu docker.io/library/python:3.12\n", "gives no digest for 'cpu'"),
        (f"train x@sha256:{'0' * 64}\n", "gives no digest for 'cpu' (found '')"),
    ],
)
def test_an_unpinned_base_is_not_built_on(tmp_path, lock, message):
    (tmp_path / "images").mkdir()
    shutil.copy(IMAGES / "build.sh", tmp_path / "images")
    if lock:
        (tmp_path / "images" / "upstream.lock").write_text(lock)
    run = subprocess.run(
        ["bash", tmp_path / "images" / "build.sh", "registry.example.org/p", "cpu"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert message in run.stderr
