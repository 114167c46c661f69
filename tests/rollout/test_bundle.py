import sys

import pytest

from tasks.rollout.environment import Grade
from tasks.rollout.worker.bundle import BundleError, check, collect
from tasks.rollout.worker.client import EnvironmentWorker
from tests.support.bundles import HEAD, PROMPTS, episodes, write_bundle
from tests.support.refused import raised

TEAMS = ("math", "code", "agent", "instruct")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return the folder of an importable package that notices when it is imported."""
    folder = write_bundle(tmp_path / "sums_team")
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "workflow.py").write_text("import flytekit")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_exactly_the_two_files_are_collected_and_nothing_is_imported(package, tmp_path):
    folder = collect("sums_team", tmp_path / "out" / "bundle")
    assert sorted(path.name for path in folder.iterdir()) == ["environment.py", "prompts.py"]
    for path in folder.iterdir():
        assert path.read_bytes() == (package / path.name).read_bytes()
    assert "sums_team" not in sys.modules


def test_a_collected_bundle_runs(package, tmp_path):
    with EnvironmentWorker(collect("sums_team", tmp_path / "bundle")) as worker:
        assert worker.grade(episodes("a")) == [Grade(1.0)]


@pytest.mark.parametrize("name", TEAMS)
def test_every_team_of_the_repository_can_be_bundled_and_run(name, tmp_path):
    with EnvironmentWorker(collect(f"workflows.teachers.{name}", tmp_path / "bundle")) as worker:
        assert len(worker.prompts("evaluation", 3, 0)) == 3
        assert len(worker.demonstrations(3, 0)) == 3


@pytest.mark.parametrize("name", ["no_such_team", "no.such.team", "json.decoder"])
def test_a_missing_package_is_refused(name, tmp_path):
    with raised(BundleError, "no-package", repr(name)):
        collect(name, tmp_path / "out")


def test_a_refused_package_leaves_no_files(package, tmp_path):
    (package / "prompts.py").write_text("import torch")
    with pytest.raises(BundleError):
        collect("sums_team", tmp_path / "out")
    assert list((tmp_path / "out").glob("*")) == []


@pytest.mark.parametrize("name", ["environment.py", "prompts.py"])
def test_a_missing_file_is_named(tmp_path, name):
    (write_bundle(tmp_path) / name).unlink()
    with raised(BundleError, "missing-file", name):
        check(tmp_path)


@pytest.mark.parametrize(
    ("line", "imported"),
    [
        ("import torch", "torch"),
        ("import os, numpy", "numpy"),
        ("import numpy.linalg as l", "numpy.linalg"),
        ("from transformers import AutoModel", "transformers"),
        ("from workflows.teachers.code.environment import Code", "workflows.teachers.code"),
        ("import tasks.rollout.environment.x", "tasks.rollout.environment.x"),
        ("from tasks.rollout import worker", "tasks.rollout.worker"),
        ("from tasks.rollout import environment, sampler", "tasks.rollout.sampler"),
        ("import tasks.rollout", "tasks.rollout"),
        ("from tasks import model", "tasks"),
        ("import lineage", "lineage"),
        ("from . import settings", "."),
        ("from .settings import Settings", ".settings"),
        ("def late():\n    import torch", "torch"),
        ("try:\n    import numpy\nexcept ImportError:\n    pass", "numpy"),
    ],
)
@pytest.mark.parametrize("file", ["environment.py", "prompts.py"])
def test_an_import_that_may_be_gone_tomorrow_is_refused_by_line(tmp_path, file, line, imported):
    path = write_bundle(tmp_path) / file
    text = path.read_text() + line
    path.write_text(text)
    at = 1 + text[: text.index(line)].count("\n") + line[: line.index("import")].count("\n")
    with raised(BundleError, "foreign-import", f"{file}, line {at}: ", f"'{imported}"):
        check(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "import json, re, collections.abc",
        "from __future__ import annotations",
        "import tasks.rollout.environment",
        "from tasks.rollout import environment, sandbox",
        "from tasks.rollout.sandbox import Call",
    ],
)
def test_the_standard_library_and_the_interface_may_be_imported(tmp_path, line):
    path = write_bundle(tmp_path) / "environment.py"
    path.write_text(line + "\n" + path.read_text())
    check(tmp_path)


@pytest.mark.parametrize("text", ["def", "ENVIRONMENT = (", "a\0b"])
def test_what_is_not_python_is_refused(tmp_path, text):
    (write_bundle(tmp_path) / "environment.py").write_text(text)
    with raised(BundleError, "not-python", "environment.py"):
        check(tmp_path)


@pytest.mark.parametrize(
    "text", ["environment = 4", "def f():\n    ENVIRONMENT = 4", "class A:\n    ENVIRONMENT = 4"]
)
def test_an_environment_that_is_not_set_is_refused(tmp_path, text):
    (write_bundle(tmp_path) / "environment.py").write_text(text)
    with raised(BundleError, "no-environment", "environment.py"):
        check(tmp_path)


def test_an_environment_may_be_annotated(tmp_path):
    path = write_bundle(tmp_path) / "environment.py"
    path.write_text(path.read_text().replace("ENVIRONMENT =", "ENVIRONMENT: Team ="))
    check(tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "code", "names"),
    [
        ("def prompts(", "def other(", "missing-function", ("line 1", "prompts")),
        ("def demonstrations(", "def other(", "missing-function", ("line 1", "demonstrations")),
        (
            "(split, count, seed)",
            "(count, seed)",
            "other-arguments",
            ("line 6", "prompts(count, seed)"),
        ),
        (
            "(split, count, seed)",
            "(count, split, seed)",
            "other-arguments",
            ("prompts(count, split, seed)",),
        ),
        (
            "(count, seed):\n    for",
            "(count):\n    for",
            "other-arguments",
            ("demonstrations(count)",),
        ),
    ],
)
def test_a_function_that_is_missing_or_takes_something_else_is_refused(
    tmp_path, before, after, code, names
):
    text = HEAD + PROMPTS
    assert before in text
    (write_bundle(tmp_path) / "prompts.py").write_text(text.replace(before, after))
    with raised(BundleError, code, "prompts.py", *names):
        check(tmp_path)
