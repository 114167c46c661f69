"""``provost register`` against Flyte's protocol: what is sent, and what is refused before."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click import ClickException

from images.names import ImageName
from tasks.contracts.scale import Scale
from tests.support.admin import serving
from workflows.commands.recipe import recipe_module, systems
from workflows.commands.register import version_of
from workflows.commands.starter import SPELLING

ROOT = Path(__file__).resolve().parents[2]
IMAGES = [name.value for name in ImageName]
DIGEST = {letter: f"@sha256:{letter * 64}" for letter in "abc"}
SHARED = {
    *(f"task tasks.evaluate.task.{name}" for name in ("make_report", "score_consolidation")),
    "task tasks.evaluate.task.score_teacher",
    "task tasks.release.task.resolve_checkpoint",
    "task tasks.rl.task.climb",
    "task tasks.sft.task.finetune",
}

# Registers one version thrice: as it is, again, and with another image.
THRICE = """
import json, sys
from pathlib import Path
import click
from workflows.commands.faculty import place_of
from workflows.commands.flyte import identifier, kind_of
from workflows.commands.registration import Registration, open_remote

place, told = place_of("math"), []
for cpu in sys.argv[1:]:
    wanted = Registration(place, "staging", "v1", {"cpu": cpu})
    entities = wanted.entities(Path.cwd())
    try:
        wanted.send(entities, open_remote(place, "staging"))
        told.append([f"{kind_of(entity)} {identifier(entity).name}" for entity in entities])
    except click.ClickException as error:
        told.append(str(error))
print(json.dumps(told))
"""


def python(program, *arguments, **environment):
    run = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


@pytest.mark.medium
def test_a_version_is_registered_once_and_other_content_is_refused_with_the_difference():
    images = [f"registry.example.org/provost/cpu{DIGEST[letter]}" for letter in "aab"]
    with serving() as (admin, address):
        said = python(
            THRICE,
            *images,
            FLYTE_PLATFORM_URL=address,
            FLYTE_PLATFORM_INSECURE="true",
            PROVOST_FLAVOR="cpu",
        )
        first, again, refused = json.loads(said[-1])
        kept = [request.id for request in admin.kept.values()]
    assert first == again, again
    assert set(first) >= SHARED
    mine = {line for line in first if " tasks." not in line}
    name = "workflows.teachers.math.workflow.climb"
    assert mine == {f"workflow {name}", f"launch plan {name}"}
    assert {(key.project, key.domain, key.version) for key in kept} == {
        ("teacher-math", "staging", "v1")
    }
    assert len(kept) == len(first)
    assert "teacher-math/staging has version v1 already, with other content" in refused
    old, new = (f"registry.example.org/provost/cpu{DIGEST[letter]}" for letter in "ab")
    assert (
        f"container.image: registered {old}, now {new}".replace(old, old[:100]).replace(
            new, new[:100]
        )
        in refused
    )


def provost(*arguments, **environment):
    run = subprocess.run(
        [sys.executable, "-c", "from workflows.cli import main; main()", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return run.returncode, run.stdout + run.stderr


@pytest.mark.medium
@pytest.mark.parametrize(
    ("arguments", "bound", "refusal"),
    [
        (["chess", "--flavor", "cpu"], "", "unknown team 'chess': choose one of agent"),
        (["math", "--flavor", "h300"], "", "unknown flavor 'h300': choose one of cpu"),
        (["math", "--flavor", "cpu"], "", "nothing is bound to cpu, so its tasks would have no"),
        (
            ["math", "--flavor", "cpu"],
            'cpu = "registry.example.org/cpu:latest"',
            "which is not REPOSITORY@sha256:<64 hex digits>: a tag may point at other code",
        ),
    ],
)
def test_bad_input_is_refused_before_a_request_to_the_cluster(tmp_path, arguments, bound, refusal):
    (tmp_path / "bound.toml").write_text(bound)
    code, said = provost("register", *arguments, "--images", str(tmp_path / "bound.toml"))
    assert code == 1
    assert refusal in said
    assert "Traceback" not in said


@pytest.mark.medium
def test_a_missing_cluster_is_reported(tmp_path):
    (tmp_path / "bound.toml").write_text(f'cpu = "registry.example.org/cpu{DIGEST["a"]}"')
    code, said = provost(
        *("register", "math", "--flavor", "cpu", "--images", str(tmp_path / "bound.toml")),
        FLYTE_PLATFORM_URL="127.0.0.1:9",
        FLYTE_PLATFORM_INSECURE="true",
    )
    assert code == 1
    assert "127.0.0.1:9 did not register workflows.teachers.math in teacher-math/devel" in said
    assert "endpoint" in said
    assert "StatusCode" not in said
    assert "--create-project" not in said
    assert "Traceback" not in said


@pytest.mark.medium
def test_recipes_have_a_launch_plan_each_and_bring_no_team(tmp_path):
    (tmp_path / "bound.toml").write_text(
        "".join(f'{name} = "registry.example.org/{name}{DIGEST["a"]}"\n' for name in IMAGES)
    )
    code, said = provost(
        *("register", "recipes", "--flavor", "cpu", "--dry-run", "--domain", "development"),
        *("--images", str(tmp_path / "bound.toml")),
    )
    assert code == 0, said
    plans = {line.split()[-1] for line in said.splitlines() if "launch plan" in line}
    assert plans == {
        "workflows.testbed.base.make_testbed",
        *(f"workflows.recipes.{name}.{name}" for name in systems()),
    }


@pytest.mark.parametrize("system", systems())
def test_a_recipe_is_launched_with_two_flat_inputs(system):
    flow = getattr(recipe_module(system), system)
    inputs = flow.python_interface.inputs_with_defaults
    assert {name: default for name, (_, default) in inputs.items()} == {
        "scale": Scale.TINY,
        "seed": 0,
    }


def git(folder, *arguments):
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("a = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "begin")
    return tmp_path


def test_a_version_is_the_commit_with_the_teams_own_beside_it(checkout):
    commit = git(checkout, "rev-parse", "HEAD")
    assert version_of(checkout, "production", "", "1.2.0") == f"1.2.0-{commit[:12]}"
    git(checkout, "tag", "r7")
    assert version_of(checkout, "production", "r7", "") == "r7"


def test_a_version_that_is_not_checked_out_is_refused(checkout):
    git(checkout, "tag", "r7")
    git(checkout, "commit", "-q", "--allow-empty", "-m", "go on")
    with pytest.raises(ClickException, match="r7"):
        version_of(checkout, "development", "r7", "1.0.0")


@pytest.mark.parametrize("domain", ["staging", "production"])
def test_a_tree_with_changes_is_for_development_alone(checkout, domain):
    commit = git(checkout, "rev-parse", "HEAD")[:12]
    (checkout / "b.py").write_text("b = 1\n")
    with pytest.raises(ClickException, match=r"\(b\.py\)"):
        version_of(checkout, domain, "", "1.0.0")
    first = version_of(checkout, "development", "", "1.0.0")
    assert first.startswith(f"1.0.0-{commit}-dirty-")
    (checkout / "b.py").write_text("b = 2\n")
    assert version_of(checkout, "development", "", "1.0.0") != first


def test_outside_a_checkout_the_version_is_missing(tmp_path):
    with pytest.raises(ClickException, match="git"):
        version_of(tmp_path, "development", "", "1.0.0")


@pytest.mark.medium
def test_a_package_that_imports_what_is_not_its_own_is_refused(checkout):
    folder = checkout / "acme" / "poetry"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    for name, text in SPELLING.folder("poetry", "acme.poetry").items():
        (folder / name).write_text(text)
    (folder / "workflow.py").write_text(
        (folder / "workflow.py").read_text() + "\nimport workflows.foundation\n"
    )
    (checkout / "bound.toml").write_text(f'cpu = "registry.example.org/cpu{DIGEST["a"]}"')
    code, said = provost(
        *("register", "acme.poetry", "--flavor", "cpu", "--dry-run"),
        *("--images", str(checkout / "bound.toml")),
        PYTHONPATH=os.pathsep.join([str(checkout), str(ROOT)]),
    )
    assert code == 1
    assert "acme.poetry imports entities of others" in said
    assert "workflows.foundation.foundation" in said
    assert "workflows.climb" not in said
