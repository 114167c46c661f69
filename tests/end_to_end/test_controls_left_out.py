"""Real controls of the tiny faculty that find nothing to learn from, and one that fails."""

from pathlib import Path

import pytest
from markupsafe import escape

from lineage.artifacts import Artifact, Student, read_manifest
from lineage.registry.registry import Registry
from lineage.view.summary import summary_of
from tasks.contracts.controls import Control, ControlOrder
from tasks.controls.planned import ALIKE, train_arm, train_off_policy
from tasks.controls.specs import ControlSpec
from tasks.onpolicy.feature_checks import FeatureCheckError
from tasks.platform.step_runner import StepRunner
from tasks.rollout.settings import SamplingSettings
from tests.support import tiny_faculty as tiny
from tests.support.bundles import write_bundle
from tests.support.mopd_rounds import faculty_at, planned, told
from tests.support.refused import raised
from workflows.consolidation.workflow import consolidate


@pytest.fixture(scope="module")
def runner(home_with_teachers, tmp_path_factory):
    with faculty_at(home_with_teachers, tmp_path_factory.mktemp("controls") / "home") as made:
        yield made


def spec_of(control, plan, max_new_tokens=4, distil=None):
    return ControlSpec(
        control=control,
        plan=plan,
        settings=told(distil, rollouts_per_prompt=2),
        order=ControlOrder(),
        sampling=SamplingSettings(max_new_tokens=max_new_tokens),
        seed=0,
        budget=1.0,
    )


@pytest.mark.medium
@pytest.mark.parametrize("control", [Control.OFF_POLICY_SFT, Control.MOPD_AFTER_SFT])
def test_sft_on_answers_that_are_all_cut_off_is_left_out(runner, control):
    made = train_off_policy(runner, spec_of(control, planned(runner), max_new_tokens=1))
    assert (made.control, made.checkpoint) == (control, None)
    assert "shout teacher and the whisper teacher" in made.reason


@pytest.mark.medium
def test_an_outcome_that_never_differs_is_left_out_and_another_idle_feature_is_an_error(
    runner, tmp_path
):
    bundle = write_bundle(tmp_path / "alike", grade="return Grade(0.0)")
    environment = Artifact(kind="environment", digest=runner.store.put_tree(bundle), record="")
    plan = planned(runner)
    teachers = [each.model_copy(update={"environment": environment}) for each in plan.teachers]
    alike = plan.model_copy(update={"teachers": teachers})
    made = train_arm(runner, spec_of(Control.MOPD_WITH_OUTCOME, alike))
    assert (made.checkpoint, made.reason) == (None, ALIKE)
    with raised(FeatureCheckError, "no-effect", "'outcome'"):  # of settings, not of this control
        train_arm(runner, spec_of(Control.SHUFFLED_TEACHERS, alike, distil={"outcome_weight": 1.0}))


@pytest.mark.medium
@pytest.mark.parametrize("control", [Control.SHUFFLED_TEACHERS, Control.MIX_RL])
def test_a_control_that_diverges_is_left_out_with_what_stopped_it(runner, control):
    far = told(
        rollouts_per_prompt=2, loop={"num_steps": 4, "learning_rate": 1e30, "warmup_steps": 0}
    )
    order = ControlOrder(control_rl_learning_rate=1e30)
    spec = spec_of(control, planned(runner)).model_copy(update={"settings": far, "order": order})
    made = train_arm(runner, spec)
    assert (made.control, made.checkpoint) == (control, None)
    assert "step 2" in made.reason


@pytest.mark.medium
def test_a_student_is_published_without_the_controls_that_found_no_answer(teachers):
    settings = [
        "gate_prompts_per_domain=0",
        "prompts_per_domain=2",
        "max_new_tokens=1",
        "controls=parameter_average,off_policy_sft,mopd_after_sft",
    ]
    consolidate(**{**tiny.ORDER, "settings": settings})
    store = StepRunner().store
    entry = Registry(store).resolve("student.general@latest")
    assert read_manifest(store, entry.digest, Student).controls.keys() == {"parameter_average"}
    summary = summary_of(store, "student.general@latest")
    assert summary.left_out.keys() == {"off_policy_sft", "mopd_after_sft"}
    page = Path(summary.report).read_text("utf-8")
    for reason in summary.left_out.values():
        assert f"was left out: {escape(reason)}." in page
