"""What of the design import-linter's contracts, which ``make lint`` checks, cannot say."""

import re
import sys

import pytest

from tests.support.project_files import (
    ROOT,
    TEAMS,
    TESTBED,
    imported_modules,
    module_name,
    package_files,
    relative,
)

FLYTE_FILES = "tasks/*/task.py", "tasks/platform/hosting.py", "workflows/**/*.py", "workflows/*.py"


def test_workflows_reach_only_the_faces_of_tasks():
    """A step's task, settings and forms, what tasks hand over, the rollout interface."""
    face = re.compile(
        r"tasks\.(\w+\.(task|settings|(\w+_)?form)|contracts\.(controls|handover|scale)"
        r"|rl\.(variants|actor_critic|hint_settings|external_settings)|scoring\.terms|rejection_sampling\.(demonstrations|pairs|difficulty|annotator)"
        r"|platform\.(garbage|progress|resources)|rollout\.(environment|responses|sandbox))"
    )
    deep = [
        f"{relative(file)}:{line} {module}"
        for file in sorted((ROOT / "workflows").rglob("*.py"))
        if file.parent.name != "commands"  # what a person types may show what a step has made
        for line, module in imported_modules(file)
        if module.split(".")[0] == "tasks" and not face.fullmatch(module)
    ]
    assert deep == []


@pytest.mark.medium
def test_flyte_is_imported_only_where_it_is_wired():
    allowed = {file for pattern in FLYTE_FILES for file in ROOT.glob(pattern)}
    found = [
        f"{relative(file)}:{line}"
        for file in package_files()
        for line, module in imported_modules(file)
        if module.split(".")[0] in {"flytekit", "flyteidl", "flytekitplugins"}
        and file not in allowed
    ]
    assert found == []


@pytest.mark.parametrize("name", ["environment.py", "prompts.py"])
def test_a_teams_environment_needs_only_the_standard_library_and_the_interface(name):
    """It travels as a source bundle and runs in a worker that has nothing else."""
    interface = {"tasks.rollout.environment", "tasks.rollout.sandbox"}
    foreign = [
        f"{relative(file)}:{line} imports {module}"
        for file in sorted([*TEAMS.glob(f"*/{name}"), *TESTBED.glob(f"*/{name}")])
        for line, module in imported_modules(file)
        if module.split(".")[0] not in sys.stdlib_module_names
        and module not in interface
        and not module.startswith(module_name(file).rpartition(".")[0])
    ]
    assert foreign == []
