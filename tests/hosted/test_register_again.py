"""Registration against an admin that compiles, limits and refuses as the real one does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.admin import UNSET, limits_of, serving
from workflows.commands.faculty import PIPELINES

pytestmark = pytest.mark.medium  # each registration is a process

ROOT = Path(__file__).resolve().parents[2]
IMAGE = f"registry.example.org/provost/cpu@sha256:{'a' * 64}"
NAMES = ["math", "consolidation", "audit"]
"""A team, a form with gates, and map tasks; of the others it is slow."""

# Registers every package named, each in a process of its own: entities are a process's.
REGISTER = """
import os, sys
from pathlib import Path
import click
import tasks.platform.hosting  # once for all children; it declares no entity
from workflows.commands.faculty import place_of
from workflows.commands.registration import Registration, create_project, open_remote

domain, makes_project, *names = sys.argv[1:]
for name in names:
    if os.fork() == 0:
        place, code = place_of(name), 0
        remote = open_remote(place, domain)
        wanted = Registration(place, domain, "v1", {"cpu": IMAGE})
        try:
            if makes_project == "yes":
                create_project(place, remote)
            wanted.send(wanted.entities(Path.cwd()), remote)
        except click.ClickException as error:
            code = 1
            print("REFUSED", name, error.message, flush=True)
        os._exit(code)
    _, status = os.wait()
"""


def register(address, *names, seed="0", makes_project="no"):
    """Return the refusals, one a package; "" where all are registered."""
    run = subprocess.run(
        [sys.executable, "-c", f"IMAGE = {IMAGE!r}\n{REGISTER}", "staging", makes_project, *names],
        cwd=ROOT,
        env={
            **os.environ,
            "FLYTE_PLATFORM_URL": address,
            "FLYTE_PLATFORM_INSECURE": "true",
            "PROVOST_FLAVOR": "cpu",
            "PYTHONHASHSEED": seed,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr, run.stderr
    return run.stdout.partition("REFUSED ")[2].strip()


@pytest.mark.parametrize(
    "names", [NAMES, pytest.param(sorted({*PIPELINES} - {*NAMES}), marks=pytest.mark.slow)]
)
def test_the_same_commit_registers_again_from_another_process_in_every_project(names):
    with serving() as (admin, address):
        assert register(address, *names, seed="1") == ""
        kept = len(admin.kept)
        projects = {"teacher-math" if name == "math" else name for name in names}
        assert {request.id.project for request in admin.kept.values()} == projects
        assert register(address, *names, seed="2") == ""
        assert len(admin.kept) == kept


@pytest.mark.parametrize("values", ["flyte/values.yaml", "laptop/flyte-values.yaml"])
def test_each_cluster_of_infra_takes_the_cpu_flavor(values):
    limits = limits_of(yaml.safe_load((ROOT / "infra" / values).read_text()))
    with serving(limits=limits) as (admin, address):
        assert register(address, "math") == ""
        assert admin.kept


def test_a_flavor_above_the_limits_is_refused_in_a_sentence_about_limits():
    with serving(limits=UNSET) as (_, address):
        said = register(address, "math")
    assert "MEMORY" in said
    assert "[1Gi]" in said
    assert "--flavor" in said
    assert "project" not in said.partition("teacher-math/staging")[2]
    assert "StatusCode" not in said
    assert len(said.splitlines()) == 1


def test_a_missing_project_is_named_and_made_on_request():
    with serving(projects=()) as (admin, address):
        said = register(address, "math")
        assert "[teacher-math]" in said
        assert "--create-project" in said
        assert len(said.splitlines()) == 1
        assert not admin.kept
        assert register(address, "math", makes_project="yes") == ""
        assert admin.projects == {"teacher-math"}
        assert register(address, "math", makes_project="yes") == ""
