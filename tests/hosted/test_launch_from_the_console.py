"""Every launch plan can be launched, and relaunched, from Flyte's form."""

import re

import pytest
from flyteidl.core import literals_pb2
from flytekit import LaunchPlan
from flytekit import workflow as flyte_workflow
from flytekit.tools.translator import get_serializable

from benchmarks.real import settings as proof
from tasks.mopd.launch_form import LaunchForm
from tasks.mopd.task import round_settings
from tests.support.console import NotLaunchableError, launched, relaunched
from tests.support.container import Container, settings
from workflows.audit import audit, rehearsal, surgery
from workflows.consolidation.stages import carry_out
from workflows.consolidation.workflow import (
    LAUNCH_PLANS,
    PRESETS,
    consolidate,
    consolidate_refreshed,
    consolidate_reviewed,
)
from workflows.foundation import foundation
from workflows.gate import gate
from workflows.teachers.math.workflow import climb

FLOWS = (
    consolidate,
    consolidate_reviewed,
    consolidate_refreshed,
    foundation,
    gate,
    audit,
    surgery,
    rehearsal,
    climb,
)
TYPED = {"weights": '["math=0"]', "without": '["math"]'}
"""What a person has to type, where an input has no default."""


def plan_of(flow):
    plan = LaunchPlan.get_default_launch_plan(None, flow)
    return get_serializable({}, settings(), plan).to_flyte_idl()


def preset_plan(name):
    return get_serializable({}, settings(), LAUNCH_PLANS[name]).to_flyte_idl()


def typed_of(plan):
    parameters = plan.spec.default_inputs.parameters
    return {name: TYPED[name] for name, parameter in parameters.items() if parameter.required}


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_a_workflow_is_launched_and_relaunched_unchanged(flow):
    plan = plan_of(flow)
    inputs = launched(plan, **typed_of(plan))
    assert set(inputs.literals) == set(flow.python_interface.inputs)
    assert relaunched(inputs, plan) == inputs


@pytest.mark.parametrize("name", LAUNCH_PLANS)
def test_a_preset_is_launched_and_relaunched_unchanged(name):
    plan = preset_plan(name)
    inputs = launched(plan)
    assert relaunched(inputs, plan) == inputs


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_the_first_output_is_a_summary(flow):
    first, *rest = flow.python_interface.outputs.items()
    assert first == ("summary", str)
    assert rest  # and what it is a summary of


@pytest.mark.parametrize("flow", [*FLOWS, carry_out], ids=lambda flow: flow.name)
def test_every_node_has_a_name_of_words_that_no_other_node_has(flow):
    nodes = get_serializable({}, settings(), flow).template.to_flyte_idl().nodes
    named = [(node.id, node.metadata.name) for node in nodes]
    assert [name for name, shown in named if name != shown] == []
    assert [name for name, _ in named if not re.fullmatch(r"[a-z]{2,}(-[a-z]+)*", name)] == []
    assert len(dict(named)) == len(named) > 0


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_a_form_has_few_inputs_and_no_map(flow):
    parameters = plan_of(flow).spec.default_inputs.parameters
    assert len(parameters) <= 12
    assert not [name for name, one in parameters.items() if one.var.type.HasField("map_value_type")]


def test_the_form_is_described_where_the_console_shows_it():
    told = consolidate.docs.long_description.value
    assert "max_new_tokens" in told
    assert "gate_prompts_per_domain" in told


def test_an_empty_map_would_keep_the_form_from_launching():
    @flyte_workflow
    def mapped(weights: dict[str, float] = {}) -> None:  # noqa: B006 - the fault itself
        pass

    with pytest.raises(NotLaunchableError):
        launched(plan_of(mapped))


@pytest.mark.medium
def test_a_pod_reads_what_the_form_sends(tmp_path):
    inputs = launched(preset_plan("consolidate_smoke")).literals
    written = literals_pb2.LiteralMap(literals=inputs)
    ended = Container(round_settings, tmp_path / "pod", {}, literals=written).run()
    assert ended.error is None, ended.error.message
    assert (ended.folder / "outputs.pb").exists()


def test_a_preset_is_valid_by_the_form_itself():
    asked = {name: LaunchForm(**inputs) for name, inputs in PRESETS.items()}
    assert asked["smoke"].gate().gate_prompts_per_domain == 0
    assert asked["smoke"].round().prompts_per_domain == 2
    assert asked["two_rounds"].round().rounds == 2


def test_the_preset_of_a_pre_trained_student_has_no_higher_rates_than_the_proof():
    form, plain = LaunchForm(**PRESETS["instruct"]), LaunchForm()
    asked = dict(zip(proof.MERGE[::2], proof.MERGE[1::2], strict=True))
    own = (
        form.round().learning_rate,
        form.warm_up().learning_rate,
        form.controls().control_sft_learning_rate,
        form.controls().control_rl_learning_rate,
    )
    most = (
        float(asked["--learning-rate"]),
        float(asked["--warm-up-learning-rate"]),
        proof.OFF_POLICY_RATE,
        proof.RL.loop.learning_rate,
    )
    assert all(rate <= limit for rate, limit in zip(own, most, strict=True))
    assert form.warm_up().learning_rate < plain.warm_up().learning_rate / 10
    assert form.round().max_new_tokens > proof.LONGEST
