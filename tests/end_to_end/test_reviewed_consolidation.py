"""A consolidation that a person reviews: one approval, after the plan and before anything costs."""

import pytest
from click.testing import CliRunner

from lineage.launches.history import launches
from lineage.store.store import open_store
from tests.support.tiny_faculty import Contents, kinds
from workflows.cli import main
from workflows.consolidation.workflow import (
    LAUNCH_PLANS,
    PRESETS,
    consolidate,
    consolidate_refreshed,
    consolidate_reviewed,
)

ORDER = ("run", "consolidation", "--preset", "smoke", "--teachers", "shout@1,whisper@1")


def reviewed(answer):
    """Launch a reviewed consolidation, answer its question, return the result and what it made."""
    before = Contents.now().records
    result = CliRunner().invoke(main, [*ORDER, "--reviewed"], input=answer)
    return result, kinds(Contents.now().records - before)


def test_who_does_not_approve_has_a_plan_and_the_rejection_of_it(teachers):
    result, made = reviewed("n\n")
    assert result.exit_code == 1
    assert "review-the-plan" in result.output
    assert "Not approved: nothing was trained" in result.output
    assert "Merge 2 teachers into one student." in result.output.splitlines()
    assert '"plan":' not in result.output  # the value itself, which is long
    assert isinstance(result.exception, SystemExit)  # and no trace
    assert made == {"plan": 2, "launch": 1, "gate": 1, "approval": 1}
    [launch] = launches(open_store())[0]
    assert launch.outcome == "rejected"
    assert (launch.decisions[0].by or None) == launch.launcher  # a user may have no name


@pytest.mark.parametrize("answer", ["", "\n"], ids=["nothing", "enter"])
def test_an_empty_answer_does_not_decide(teachers, answer):
    result, made = reviewed(answer)
    assert result.exit_code == 1
    assert "Not approved: nothing was trained" in result.output
    assert made == {"plan": 2, "launch": 1, "gate": 1}


@pytest.mark.slow
def test_who_approves_gets_a_student(teachers):
    result, made = reviewed("y\n")
    assert result.exit_code == 0, result.output
    assert "student.smoke@1 is sha256:" in result.output
    assert (made["plan"], made["mopd"], made["student"], made["approval"]) == (2, 1, 1, 1)


def test_both_workflows_have_one_form():
    one, two = consolidate.python_interface, consolidate_reviewed.python_interface
    assert one.inputs_with_defaults == two.inputs_with_defaults
    assert one.outputs == two.outputs
    assert all(default is not None for _, default in one.inputs_with_defaults.values())


def test_a_form_that_cannot_work_is_refused_before_there_is_a_plan(teachers):
    before = Contents.now().records
    result = CliRunner().invoke(main, [*ORDER, "--rounds", "0"])
    assert result.exit_code == 1
    assert Contents.now().records == before


def test_the_approval_is_in_no_branch_and_before_all_costly_tasks():
    [settings, plan, gate, review, recorded, rest] = consolidate_reviewed.nodes
    assert [type(node.flyte_entity).__name__ for node in (review, rest)] == [
        "Gate",
        "PythonFunctionWorkflow",
    ]
    assert {node.id for node in gate.upstream_nodes} == {plan.id, settings.id}
    assert [node.id for node in review.upstream_nodes] == [gate.id]
    assert [node.id for node in recorded.upstream_nodes] == [review.id]
    assert {node.id for node in rest.upstream_nodes} == {recorded.id, settings.id}
    assert len(consolidate.nodes) == 4


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_is_a_launch_plan_of_every_workflow(preset):
    for workflow in (consolidate, consolidate_reviewed, consolidate_refreshed):
        plan = LAUNCH_PLANS[f"{workflow.__name__}_{preset}"]
        assert plan.workflow is workflow
        assert plan.fixed_inputs.literals == {}
