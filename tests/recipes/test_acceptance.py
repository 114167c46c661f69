"""A recipe's own waiver and approval: signed once, by the recipe, and never of everything."""

import pytest

from lineage.artifacts import Artifact
from lineage.errors import NotWaivableError
from lineage.launches.launch import decided
from lineage.launches.waiver import read_waiver
from tasks.contracts.handover import GateOrder, Level
from tasks.gate import plan as plan_module
from tasks.gate.decision import decide
from tasks.gate.gate import admit, leave_unmeasured
from tasks.gate.plan import propose
from tasks.platform.step_runner import StepRunner
from tasks.recipe.acceptance import GateInputs, accept_findings, approve_automatically
from tasks.rollout.settings import SamplingSettings
from tests.gate.test_plan import Faculty
from tests.support.mirrors import MemoryMirror

START = "fork-point@1"
SAMPLING = SamplingSettings(max_new_tokens=4)
UNMEASURED = GateOrder(gate_prompts_per_domain=0)


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


@pytest.fixture(autouse=True)
def _prompts_that_fit(monkeypatch):
    # These releases have no prompts and no environment to read.
    monkeypatch.setattr(plan_module, "without_positions", lambda *asked: [])


@pytest.fixture
def faculty(runner):
    return Faculty(runner)


def accepted(runner, *teachers, system="deepseek_v4"):
    inputs = GateInputs(UNMEASURED, SAMPLING, ladder_stages=1)
    return accept_findings(runner, teachers, START, inputs, system)


def proposed(runner):
    return propose(runner, ["code@1"], START, SAMPLING)


def misfit(faculty):
    faculty.teacher("code", 2, parent=faculty.checkpoint("other", 9))


def test_a_plan_without_refusals_needs_no_waiver(runner, faculty):
    faculty.teacher("code", 2)
    assert accepted(runner, "code@1") == []


def test_the_plan_of_a_recipe_passes_by_its_waiver_before_and_after_the_gate(runner, faculty):
    misfit(faculty)
    waivers = accepted(runner, "code@1")
    plan = decide(runner, proposed(runner), Level.REFUSAL, waivers)
    passed = admit(runner, leave_unmeasured(runner, plan), Level.REFUSAL, waivers)
    assert [waiver.digest for waiver in passed.plan.waivers] == waivers


@pytest.mark.medium
def test_the_reason_of_a_waiver_names_the_recipe(runner, faculty):
    misfit(faculty)
    [digest] = accepted(runner, "code@1")
    after = leave_unmeasured(runner, proposed(runner)).plan.artifact
    signed = read_waiver(runner.store, digest, after)
    assert "automatically by the recipe deepseek_v4" in signed.waiver.reason
    assert {found.code for found in signed.waiver.findings} >= {"other-fork-point"}


def test_a_rerun_finds_its_waiver_and_another_recipe_signs_its_own(runner, faculty):
    misfit(faculty)
    first = accepted(runner, "code@1")
    assert accepted(runner, "code@1") == first
    assert accepted(runner, "code@1", system="glm_5") != first


def test_what_no_person_may_accept_ends_a_recipe(runner, faculty):
    faculty.teacher("code", 2, recorded=False)
    with pytest.raises(NotWaivableError):
        accepted(runner, "code@1")


def test_an_approval_says_that_a_recipe_gave_it(runner, faculty):
    faculty.teacher("code", 2)
    gated = leave_unmeasured(runner, proposed(runner))
    approval = approve_automatically(runner, gated, "glm_5").approval
    assert isinstance(approval, Artifact)
    made = runner.records.read(approval.record)
    [said] = decided(made, runner.records.attestations(approval.record))
    assert (said.decision, said.by, said.way) == ("approved", "the recipe glm_5", "recipe")
    assert said.words().startswith("the recipe glm_5, automatically")
