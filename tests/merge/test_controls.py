"""The merges as steps: what they take, what they leave behind, how the weight is chosen."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from lineage.artifacts import Artifact
from lineage.records.record import Records
from tasks.contracts.handover import Plan, PlannedTeacher
from tasks.merge import controls
from tasks.merge.settings import MergeSettings
from tasks.model.files import save_policy
from tasks.model.saving import save_in
from tasks.model.settings import Precision
from tasks.platform.step_runner import StepRunner, find_finished
from tests.support.making import write_record
from tests.support.mirrors import MemoryMirror
from tests.support.refused import refused
from tests.support.tiny_models import tiny_policy

WEIGHTS = [0.25, 0.5, 1.0]


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


def recorded(runner, kind, digest, **settings):
    """Write a record that made what is in the store; return the artifact."""
    record, _ = write_record(runner.store, b"", output=digest, output_kind=kind, **settings)
    return Artifact(kind=kind, digest=digest, record=record)


@pytest.fixture
def plan(runner, tmp_path):
    """Return a plan of two teachers: the start plus 1, and the start minus 2, everywhere."""
    start = save_policy(tiny_policy(), tmp_path / "start")
    put = {"start": recorded(runner, "checkpoint", runner.store.put_tree(start), name="start")}
    for name, shift in (("one", 1.0), ("two", -2.0)):
        folder = save_policy(tiny_policy(), tmp_path / name)
        weights = load_file(folder / "model.safetensors")
        moved = {key: tensor + shift for key, tensor in weights.items()}
        save_file(moved, folder / "model.safetensors", {"format": "pt"})
        put[name] = recorded(runner, "checkpoint", runner.store.put_tree(folder), name=name)

    def part(kind, name):
        return recorded(runner, kind, runner.store.put_bytes(f"{kind} {name}".encode()), name=name)

    return Plan(
        fork_point=put["start"],
        student=put["start"],
        teachers=[
            PlannedTeacher(
                name=name,
                domain=name,
                ladder=[],
                reference=f"teacher.{name}@1",
                owner="team",
                release=part("release", name),
                checkpoint=put[name],
                environment=part("environment", name),
                train=part("dataset", f"{name} train"),
                validation=part("dataset", f"{name} validation"),
                evaluation=part("dataset", f"{name} evaluation"),
            )
            for name in ("one", "two")
        ],
    )


def weights_of(runner, artifact):
    return load_file(runner.store.tree(artifact.digest) / "model.safetensors")


def shift_of(runner, artifact, plan):
    """Return by how much every parameter of a checkpoint lies above the start."""
    start, merged = weights_of(runner, plan.student), weights_of(runner, artifact)
    shifts = torch.cat([(merged[name] - start[name]).flatten() for name in start])
    assert shifts.max() - shifts.min() < 1e-4
    return shifts.mean().item()


def test_the_average_lies_between_its_teachers(runner, plan):
    made = controls.merge_average(runner, plan)
    assert shift_of(runner, made, plan) == pytest.approx((1.0 - 2.0) / 2, abs=1e-5)
    derivation = Records(runner.store).read(made.record)
    assert [(i.role, i.name, i.weight) for i in derivation.inputs] == [
        ("student", "", None),
        ("teacher", "one", 0.5),
        ("teacher", "two", 0.5),
    ]


def test_a_student_in_bf16_rounds_no_merge(runner, plan, tmp_path, monkeypatch):
    save_in(tiny_policy(), tmp_path / "half", Precision.BF16)
    digest = runner.store.put_tree(tmp_path / "half")
    half = plan.model_copy(update={"student": recorded(runner, "checkpoint", digest, name="half")})
    whole, made = (weights_of(runner, controls.merge_average(runner, p)) for p in (plan, half))
    assert all(torch.equal(whole[name], made[name]) for name in whole)
    monkeypatch.setattr(controls, "_validate", lambda *_: 0.5)
    tuned = weights_of(runner, controls.merge_tuned(runner, half, MergeSettings(weights=[0.25])))
    start, one, two = (
        weights_of(runner, each)
        for each in (half.student, *(teacher.checkpoint for teacher in plan.teachers))
    )
    for name, tensor in tuned.items():
        begun = start[name].float()
        moved = begun + 0.25 * ((one[name] - begun) + (two[name] - begun))
        torch.testing.assert_close(tensor, moved, rtol=0, atol=1e-6)


@pytest.mark.parametrize("best", WEIGHTS)
def test_task_arithmetic_takes_the_weight_that_validates_best(runner, plan, monkeypatch, best):
    start = weights_of(runner, plan.student)["model.norm.weight"].mean().item()
    tried = []

    def validate(runner, plan, policy, settings):
        """Score the weight that the policy was made with, read from the policy itself."""
        shift = policy.model.state_dict()["model.norm.weight"].mean().item() - start
        tried.append(shift / (1.0 - 2.0))
        return 1.0 - abs(tried[-1] - best)

    monkeypatch.setattr(controls, "_validate", validate)
    made = controls.merge_tuned(runner, plan, MergeSettings(weights=WEIGHTS))
    assert tried == pytest.approx(WEIGHTS, abs=1e-5)
    assert shift_of(runner, made, plan) == pytest.approx(best * (1.0 - 2.0), abs=1e-5)

    attestation = runner.records.output(made.record)
    rows = [json.loads(line) for line in runner.store.get_bytes(attestation.metrics).splitlines()]
    scores = [row["value"] for row in rows if row["name"] == "validation_score"]
    assert scores == pytest.approx([1.0 - abs(weight - best) for weight in WEIGHTS], abs=1e-5)


def test_among_equals_the_smallest_step_from_the_start_wins(runner, plan, monkeypatch):
    monkeypatch.setattr(controls, "_validate", lambda *_: 0.5)
    made = controls.merge_tuned(runner, plan, MergeSettings(weights=WEIGHTS))
    assert shift_of(runner, made, plan) == pytest.approx(-0.25, abs=1e-5)


def test_validation_opens_validation_prompts_and_no_others(runner, plan, monkeypatch):
    opened = []

    def stored(store, artifact):
        opened.append(artifact.digest)
        return []

    class Worker:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    class Solved:
        class grade:  # noqa: N801
            score = 1.0

    monkeypatch.setattr(controls, "open_environment", lambda *_, **__: Worker())
    monkeypatch.setattr(controls, "stored_prompts", stored)
    monkeypatch.setattr(controls, "make_player", lambda *_: None)
    monkeypatch.setattr(controls, "play", lambda *_: [Solved()])
    made = controls.merge_tuned(runner, plan, MergeSettings(weights=[0.5]))
    assert opened == [teacher.validation.digest for teacher in plan.teachers]
    taken = {item.artifact for item in runner.records.read(made.record).inputs}
    for teacher in plan.teachers:
        assert teacher.validation.digest in taken
        assert not taken & {teacher.evaluation.digest, teacher.train.digest}


def test_a_merge_is_found_the_second_time(runner, plan):
    first = controls.merge_average(runner, plan)
    again = find_finished(lambda: controls.merge_average(StepRunner(), plan))
    assert again == first


def test_teachers_of_different_shapes_are_refused(runner, plan, tmp_path):
    from tasks.model.files import Policy
    from tests.support.tiny_models import tiny_model, tokenizer

    folder = save_policy(Policy(tiny_model(hidden_size=32), tokenizer()), tmp_path / "wide")
    wide = recorded(runner, "checkpoint", runner.store.put_tree(folder), name="wide")
    teachers = [plan.teachers[0], plan.teachers[1].model_copy(update={"checkpoint": wide})]
    with refused("other-parameters"):
        controls.merge_average(runner, plan.model_copy(update={"teachers": teachers}))
    assert not [d for d in runner.records.all() if runner.records.read(d).kind == "merge"]
