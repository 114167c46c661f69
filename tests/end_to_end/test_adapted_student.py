"""A student that trained LoRA adapters: audited along its adapters, operated on, and replayed."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from lineage.artifacts import Artifact
from lineage.store.scratch import copy_writable
from tasks.attribution.audit import explain
from tasks.attribution.opened import load_weights, open_models
from tasks.attribution.subject import find_subject
from tasks.attribution.surgery import scale_teachers
from tasks.ledger.reader import Ledger
from tasks.model.settings import Precision
from tasks.mopd.counterfactual.recompute import replay_round
from tasks.mopd.round_form import RecomputeSpec
from tests.support.courses import behavior
from tests.support.mopd_rounds import Run, faculty_at, planned, told
from tests.support.refused import refused

SETTINGS = told(loop={"adapter": {"rank": 2, "alpha": 4, "seed": 5}, "learning_rate": 1e-2})


@pytest.fixture(scope="module")
def runner(home_with_teachers, tmp_path_factory):
    with faculty_at(home_with_teachers, tmp_path_factory.mktemp("adapted") / "home") as made:
        yield made


@pytest.fixture(scope="module")
def plan(runner):
    return planned(runner)


@pytest.fixture(scope="module")
def run(runner, plan):
    return Run(runner, plan, SETTINGS)


@pytest.fixture(scope="module")
def models(runner, run):
    return open_models(runner, find_subject(runner, run.student.digest))


def test_the_ledgers_weights_are_the_adapters_from_b_at_zero(models, run):
    assert {name.split(".lora_")[1][0] for name in models.start} == {"A", "B"}
    assert all(not tensor.any() for name, tensor in models.start.items() if ".lora_B." in name)
    assert any(tensor.any() for name, tensor in models.end.items() if ".lora_B." in name)
    trained = run.ledger().trained_end(models.start)
    assert all(torch.equal(tensor, models.end[name]) for name, tensor in trained.items())


def test_the_parts_of_an_audit_add_up_to_what_the_merged_student_says(runner, plan, run):
    audit = explain(runner, run.student.digest, [behavior()])
    assert list(audit.shares) == ["shout", "whisper", "decay", "rounding"]
    [asked] = audit.behaviors
    assert sum(asked.parts.values()) == pytest.approx(asked.end - asked.start, abs=1e-3)
    assert audit.residual < 0.01
    assert abs(asked.end - asked.start) > 0.01
    whole = explain(runner, Run(runner, plan, told()).student.digest, [behavior()])
    # The same teachers and start, read through the adapted model and through the plain one.
    assert [b.start for b in whole.behaviors] == pytest.approx([asked.start], abs=1e-4)
    assert dict(whole.behaviors[0].taught) == pytest.approx(dict(asked.taught), abs=1e-4)


def test_a_student_that_is_saved_in_bf16_is_audited_by_its_adapters(runner, plan, models):
    rounded = SETTINGS.loop.model_copy(update={"saved_precision": Precision.BF16})
    own = Run(runner, plan, SETTINGS.model_copy(update={"loop": rounded}))
    assert {tensor.dtype for tensor in own.weights().values()} == {torch.bfloat16}
    found = open_models(runner, find_subject(runner, own.student.digest))
    assert all(torch.equal(tensor, found.end[name]) for name, tensor in models.end.items())
    taken = scale_teachers(runner, own.student.digest, {"whisper": 0.0})
    assert runner.records.output(taken.record).notes["saved"]["precision"] == "bf16"


def test_surgery_takes_a_teacher_out_of_the_adapters_and_merges_them(runner, plan, run, models):
    made = scale_teachers(runner, run.student.digest, {"shout": 0.0})
    found, start = load_weights(runner, made), load_weights(runner, plan.student)
    ledger, name = run.ledger(), "model.layers.0.self_attn.q_proj"
    a_rI, b_Or = (models.end[f"{name}.lora_{factor}.default.weight"].clone() for factor in "AB")
    for segment in ledger.manifest.segments:
        taken = ledger.displacement(segment, "shout")
        a_rI -= taken[f"{name}.lora_A.default.weight"]
        b_Or -= taken[f"{name}.lora_B.default.weight"]
    expected = start[f"{name}.weight"] + 4 / 2 * b_Or @ a_rI
    torch.testing.assert_close(found[f"{name}.weight"], expected, rtol=0, atol=1e-6)
    embedding = "model.embed_tokens.weight"
    assert torch.equal(found[embedding], start[embedding])


def test_replayed_displacements_are_those_of_the_round(runner, plan):
    kept = SETTINGS.ledger.model_copy(update={"displacements": False, "rollouts_per_teacher": 99})
    settings = SETTINGS.model_copy(update={"ledger": kept})
    own = Run(runner, plan, settings)
    ledger = Artifact(kind="ledger", digest=own.ledger_digest)
    spec = RecomputeSpec(plan=plan, settings=settings, seed=0, student=own.student, ledger=ledger)
    replayed = Ledger.open(runner.store.tree(replay_round(runner, spec).digest))
    once = Run(runner, plan, SETTINGS).ledger()
    for segment, again in zip(once.manifest.segments, replayed.manifest.segments, strict=True):
        for source in ("shout", "whisper"):
            expected = once.displacement(segment, source)
            found = replayed.displacement(again, source)
            size = sum(float(t.square().sum()) for t in expected.values()) ** 0.5
            apart = sum(float((found[n] - t).square().sum()) for n, t in expected.items()) ** 0.5
            assert apart < 1e-3 * size


def test_a_student_that_is_not_its_adapters_merged_is_refused(runner, run, tmp_path):
    folder = tmp_path / "student"
    copy_writable(runner.store.tree(run.student.digest), folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"] += 0.1
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    subject = find_subject(runner, run.student.digest)
    forged = Artifact(kind="checkpoint", digest=runner.store.put_tree(folder))
    with refused("other-weights"):
        open_models(runner, replace(subject, checkpoint=forged))
