"""What importing every workflow does, seen in a fresh process."""

import json
import subprocess
import sys
from functools import cache

import pytest

from tests.support.project_files import ROOT

LIGHT = ["tasks.contracts.review", "tasks.mopd.failed", "tasks.release.checkpoints"]
"""Steps of pods that load no model: with torch they would take four times as long."""
HEAVY = {"torch", "transformers", "mlflow", "boto3", "botocore", "trl", "datasets", "matplotlib"}

# Imports everything, then prints what was loaded and how Flyte would pass each value.
PROGRAM = """
import importlib, json, pkgutil, sys
import workflows

names = [m.name for m in pkgutil.walk_packages(workflows.__path__, "workflows.")]
loaded_by = {}
for name in names:
    if name.rpartition(".")[2] != "__main__":
        importlib.import_module(name)
        for top in {module.partition(".")[0] for module in sys.modules}:
            loaded_by.setdefault(top, name)

interfaces = {}
if "flytekit" in sys.modules:
    from flytekit.core.context_manager import FlyteEntities
    for entity in FlyteEntities.entities:
        if getattr(entity, "interface", None) is not None:
            interfaces[entity.name] = str(entity.interface.to_flyte_idl())
print("\\n" + json.dumps({"loaded_by": loaded_by, "interfaces": interfaces}))
"""


def imported(program, *arguments):
    command = [sys.executable, "-c", program, *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    *printed, last = run.stdout.splitlines()  # flytekit logs to standard output
    return {**json.loads(last), "printed": [*filter(None, printed), *run.stderr.splitlines()]}


@cache
def everything():
    return imported(PROGRAM.replace("loaded_by = {}", f"names += {LIGHT}\nloaded_by = {{}}"))


@pytest.mark.medium
def test_importing_all_workflows_loads_nothing_heavy():
    loaded = {top: name for top, name in everything()["loaded_by"].items() if top in HEAVY}
    assert loaded == {}, "each was loaded while importing the module named beside it"


@pytest.mark.medium
def test_no_task_or_workflow_passes_a_pickle():
    pickled = [name for name, text in everything()["interfaces"].items() if "PythonPickle" in text]
    assert pickled == []


@pytest.mark.medium
def test_flyte_warns_of_no_type_that_it_does_not_know():
    """As of a class variable in a model, which it takes for a field, and would pickle."""
    assert everything()["printed"] == []


@pytest.mark.medium
def test_a_pickle_in_an_interface_would_be_seen(tmp_path):
    """Guards the test above: an unsupported type does fall back, and shows itself like this."""
    (tmp_path / "bad.py").write_text(
        "import fractions\nimport flytekit\n\n"
        "@flytekit.task\ndef half(of: fractions.Fraction) -> float:\n    return float(of) / 2\n"
    )
    program = PROGRAM.replace("workflows", "images").replace(
        "import images\n", "import images\nsys.path[:0] = sys.argv[1:]\n"
    )
    program = program.replace("interfaces = {}", "import bad\ninterfaces = {}")
    texts = imported(program, str(tmp_path))["interfaces"]
    assert "PythonPickle" in texts["bad.half"]


@pytest.mark.parametrize("package", ["lineage", "images"])
def test_the_ground_floor_loads_no_flyte_and_no_torch(package):
    program = PROGRAM.replace("workflows", package)
    heavy = HEAVY - {"boto3", "botocore"} | {"flytekit"}
    assert set(imported(program)["loaded_by"]) & heavy == set()
