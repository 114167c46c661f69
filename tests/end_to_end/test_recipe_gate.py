"""A recipe's own waiver of what the gate measured lets its consolidation pass."""

import pytest

from lineage.artifacts import Student, read_manifest
from tasks.gate.decision import MisfitError
from tasks.mopd.launch_form import LaunchForm, launch_spec
from tasks.platform.step_runner import StepRunner
from tasks.recipe.acceptance import GateInputs, accept_findings
from tests.support.mirrors import MemoryMirror
from tests.support.tiny_faculty import TEAMS, Contents, kinds
from workflows.consolidation.workflow import consolidate

INPUTS = {
    "teachers": [f"{team}@1" for team in TEAMS],
    "student": "fork-point@released",
    "mopd_steps": 2,
    "publish_as": "glm_5",
    "settings": ["gate_prompts_per_domain=8", "prompts_per_domain=2", "max_new_tokens=4"],
}


@pytest.mark.slow
def test_a_plan_with_measured_misfits_is_merged_with_the_waiver_of_the_recipe(teachers):
    runner = StepRunner(mirror=MemoryMirror())
    with pytest.raises(MisfitError):
        consolidate(**INPUTS)
    launch = launch_spec(LaunchForm(**INPUTS).model_dump())
    inputs = GateInputs(launch.gate, launch.spec.sampling, launch.ladder_stages)
    before = Contents.now().records
    waivers = accept_findings(runner, INPUTS["teachers"], INPUTS["student"], inputs, "glm_5")
    assert kinds(Contents.now().records - before) == {"waiver": 1}  # all else was found
    made = consolidate(**{**INPUTS, "waivers": waivers})
    student = read_manifest(runner.store, made.student.digest, Student)
    assert list(student.waivers) == waivers
