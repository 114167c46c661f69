"""The versions that a page promises are those that are installed and deployed."""

import re
import tomllib

import yaml

from tests.support.project_files import ROOT

PAGE = (ROOT / "docs" / "guides" / "flyte.md").read_text("utf-8")


def row(part):
    [line] = [line for line in PAGE.splitlines() if line.startswith(f"| {part} |")]
    return re.findall(r"\d+(?:\.\d+)+", line.split("|")[2])


def pinned(package):
    constraints = (ROOT / "constraints.txt").read_text("utf-8")
    [found] = re.findall(rf"^{package}==(.*)$", constraints, re.MULTILINE)
    return found


def test_the_page_names_the_flytekit_that_is_pinned():
    assert row("flytekit, flyteidl") == [pinned("flytekit"), pinned("flyteidl")]


def test_the_page_names_the_flyte_that_is_deployed_everywhere():
    [version] = set(row("Flyte"))
    for values in ("flyte/values.yaml", "laptop/flyte-values.yaml"):
        read = yaml.safe_load((ROOT / "infra" / values).read_text("utf-8"))
        assert read["deployment"]["image"]["tag"] == f"v{version}", values
    for script in ("infra/README.md", "infra/laptop/up.sh"):
        text = (ROOT / script).read_text("utf-8")
        assert set(re.findall(r"--version (v\S+)", text)) == {f"v{version}"}, script


def test_the_page_names_the_pythons_that_the_package_takes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    first, *_, after = re.findall(r"3\.\d+", project["requires-python"])
    told = [version for version in row("Python") if version.startswith("3.")]
    assert (told[0], told[-1]) == (first, after)
