"""Which controls are trained, when, and from what; all of them once, end to end."""

import pytest
from pydantic import ValidationError

from lineage.artifacts import Artifact, Student, read_manifest
from lineage.mirror.run_view import metrics_of
from lineage.operations.verify import Verifier
from lineage.registry.registry import Registry
from tasks.contracts.controls import (
    ARMS,
    MERGED,
    OFF_POLICY,
    Control,
    ControlOrder,
    TrainedControl,
    compared_controls,
)
from tasks.contracts.named import NamedArtifact
from tasks.contracts.planned import plan_of
from tasks.controls.arms import with_next_teachers
from tasks.evaluate.cost import cost_of_methods
from tasks.mopd.launch_form import LaunchForm, launch_spec
from tasks.platform.step_runner import StepRunner
from tests.support import tiny_faculty as tiny


def checkpoint(letter):
    return Artifact(kind="checkpoint", digest=f"sha256:{letter * 64}", record="")


def trained(control, letter):
    return TrainedControl(control=control, checkpoint=checkpoint(letter), seconds=1.0)


def test_every_control_is_made_in_one_place():
    assert sorted([*MERGED, *OFF_POLICY, *ARMS]) == sorted([*Control, Control.MOPD_AFTER_SFT])


def test_the_form_takes_controls_by_name_and_off_policy_sft_by_default():
    def controls(*settings):
        form = LaunchForm(settings=list(settings))
        return launch_spec(form.model_dump()).spec.controls.controls

    assert Control.OFF_POLICY_SFT in controls()
    assert controls("controls=ties,mix_rl") == [Control.TIES, Control.MIX_RL]
    assert controls("controls=none") == []
    with pytest.raises(ValidationError, match="twice"):
        ControlOrder(controls="ties,ties")


def test_sft_from_which_mopd_goes_on_is_left_out():
    merged = [NamedArtifact(name="ties", artifact=checkpoint("a"))]
    off_policy = [trained(Control.OFF_POLICY_SFT, "b"), trained(Control.MOPD_AFTER_SFT, "c")]
    arms = [trained(Control.MOPD_AFTER_SFT, "d")]
    assert compared_controls(merged, off_policy, arms) == {
        "ties": checkpoint("a"),
        "off_policy_sft": checkpoint("b"),
        "mopd_after_sft": checkpoint("d"),
    }


@pytest.fixture
def consolidated(home, tmp_path):
    """Return the published student of the tiny teams with every control."""
    from workflows.consolidation.workflow import consolidate

    for team in tiny.TEAMS:
        tiny.write_team(tmp_path, team)
    with tiny.importable(tmp_path):
        tiny.make_fork_point()
        for team in tiny.TEAMS:
            tiny.climb(f"{tiny.PACKAGE}.{team}")
        every = ",".join(control.value for control in Control)
        settings = ["gate_prompts_per_domain=0", "prompts_per_domain=8", f"controls={every}"]
        consolidate(**{**tiny.ORDER, "mopd_steps": 6, "settings": settings})
    runner = StepRunner()
    entry = Registry(runner.store).resolve("student.general@latest")
    return runner, entry


@pytest.mark.slow
def test_every_control_is_trained_scored_published_and_verified(consolidated):
    runner, entry = consolidated
    manifest = read_manifest(runner.store, entry.digest, Student)
    assert manifest.controls.keys() == {control.value for control in Control}
    assert len({control.digest for control in manifest.controls.values()}) == len(Control)
    assert not Verifier(runner.store).verify(entry.record).problems
    published = Artifact(kind="student", digest=entry.digest, record=entry.record)
    plan = plan_of(runner, published)
    costs = cost_of_methods(
        runner.records, plan, {"student": manifest.checkpoint, **manifest.controls}
    )
    assert costs["student"].tokens_sampled > 0
    assert costs["parameter_average"].tokens_trained == 0
    assert costs["mopd_after_sft"].steps > costs["shuffled_teachers"].steps  # its SFT counts too
    # No climb of a teacher is among them: the merges took no training.
    assert {name for name, cost in costs.items() if not cost.tokens_trained} == set(MERGED)


@pytest.mark.slow
def test_shuffled_teachers_are_the_next_domains(consolidated):
    runner, entry = consolidated
    published = Artifact(kind="student", digest=entry.digest, record=entry.record)
    first, second = plan_of(runner, published).teachers
    one, other = with_next_teachers(plan_of(runner, published)).teachers
    assert (one.domain, one.checkpoint) == (first.domain, second.checkpoint)
    assert (other.domain, other.checkpoint) == (second.domain, first.checkpoint)
    assert (one.train, one.environment) == (first.train, first.environment)
    manifest = read_manifest(runner.store, entry.digest, Student)
    made = runner.records.read(manifest.controls["shuffled_teachers"].record)
    assert {i.name: i.artifact for i in made.inputs if i.role == "teacher"} == {
        first.name: second.checkpoint.digest,
        second.name: first.checkpoint.digest,
    }


@pytest.mark.slow
def test_frozen_rollouts_stay_those_of_the_start(consolidated):
    runner, entry = consolidated
    controls = read_manifest(runner.store, entry.digest, Student).controls

    def gaps(name):
        attested = runner.records.output(controls[name].record)
        rows = metrics_of(runner.store, attested)
        return [row.value for row in rows if row.name == "mopd/sampler_gap"]

    live, frozen = gaps("shuffled_teachers"), gaps("off_policy_kd")
    assert max(live) < 1e-4  # sampler and learner are one model
    assert frozen[0] < 1e-4 < frozen[1] < frozen[-1]  # the learner leaves the sampler behind
