"""A student that is saved in bf16: audited, operated on, and the start of a further round."""

import pytest
import torch

from tasks.attribution.audit import explain
from tasks.attribution.opened import load_weights, open_models
from tasks.attribution.subject import find_subject
from tasks.attribution.surgery import scale_teachers
from tasks.ledger.reader import Ledger
from tasks.model.files import load_model
from tasks.mopd.round import starting_from
from tests.support.courses import behavior
from tests.support.mopd_rounds import Run, faculty_at, planned, told
from tests.support.refused import refused

SHORT = {"saved_precision": "bf16", "precision": "bf16", "learning_rate": 1e-4}


@pytest.fixture(scope="module")
def runner(home_with_teachers, tmp_path_factory):
    with faculty_at(home_with_teachers, tmp_path_factory.mktemp("saved") / "home") as made:
        yield made


@pytest.fixture(scope="module")
def plan(runner):
    return planned(runner)


@pytest.fixture(scope="module")
def run(runner, plan):
    return Run(runner, plan, told(loop=SHORT))


def trained(runner, run):
    """Return the student's weights as they were trained."""
    models = open_models(runner, find_subject(runner, run.student.digest))
    return run.ledger().trained_end(models.start)


def test_the_checkpoint_is_the_trained_weights_rounded_to_bf16(runner, run):
    whole, saved = trained(runner, run), run.weights()
    assert {tensor.dtype for tensor in saved.values()} == {torch.bfloat16}
    assert all(torch.equal(saved[name], whole[name].bfloat16()) for name in saved)
    note = run.notes()["saved"]
    assert note["precision"] == "bf16"
    assert 1e-4 < note["rounding"] < 2**-8


def test_saving_is_a_part_of_its_own_and_the_parts_add_up(runner, run):
    audit = explain(runner, run.student.digest, [behavior()])
    assert list(audit.shares) == ["shout", "whisper", "decay", "rounding", "saving"]
    [asked] = audit.behaviors
    assert sum(asked.parts.values()) == pytest.approx(asked.end - asked.start, abs=1e-4)
    assert audit.residual < 0.01
    assert abs(asked.parts["saving"]) > 0
    assert audit.weights.parts["rounding"] < 3 * audit.weights.predicted_rounding
    # The round moves weights by 3e-4 at most; half of bf16's last place of a weight of 0.3 is 5e-4.
    assert audit.weights.parts["saving"] > 0.1
    assert audit.weights.unexplained < 1e-9
    assert (audit.course[-1].first_step, audit.course[-1].last_step) == (4, 3)


def test_surgery_goes_from_the_trained_weights_and_saves_as_the_student_was(runner, run):
    made = scale_teachers(runner, run.student.digest, {"shout": 0.0})
    found = dict(load_model(runner.store.tree(made.digest)).named_parameters())
    ledger, whole = run.ledger(), trained(runner, run)
    for name, tensor in found.items():
        taken = sum(
            ledger.displacement(segment, "shout")[name] for segment in ledger.manifest.segments
        )
        expected = (whole[name] - taken).bfloat16().float()
        torch.testing.assert_close(tensor.float(), expected, rtol=2**-7, atol=1e-7)
    assert runner.records.output(made.record).notes["saved"]["precision"] == "bf16"


def test_a_round_starts_from_it_and_is_audited(runner, plan, run):
    second = Run(runner, starting_from(plan, run.student), told(loop=SHORT), seed=1)
    assert second.ledger().manifest.saved.precision == "bf16"
    models = open_models(runner, find_subject(runner, second.student.digest))
    assert models.conservation.rounding < 3 * models.conservation.expected
    assert all(torch.equal(models.start[n], t.float()) for n, t in run.weights().items())


def test_another_students_weights_are_refused(runner, run):
    models = open_models(runner, find_subject(runner, run.student.digest))
    with refused("other-weights", "ends"):
        run.ledger().check(models.start, trained(runner, run))


def test_it_can_teach_a_student_in_fp32(runner, plan, run):
    [shout, whisper] = plan.teachers
    taught = shout.model_copy(update={"checkpoint": run.student})
    mixed = plan.model_copy(update={"teachers": [taught, whisper]})
    again = Run(runner, mixed, told())
    # The teacher is the start but for the round and bf16.
    assert 0 < again.metrics()["kl/shout"][0] < 1e-2


def test_an_audit_that_does_not_fit_into_memory_is_refused_before_the_ledger_is_read(
    runner, run, monkeypatch
):
    subject = find_subject(runner, run.student.digest)
    weights = sum(t.numel() for t in load_weights(runner, run.student).values())
    parts = len(subject.ledger.manifest.segments[0].norms)
    needed = int(4 * weights * (5.5 + 2.5 * parts))
    monkeypatch.setattr("tasks.attribution.opened.free_memory", lambda _: needed + 1)
    open_models(runner, subject)
    monkeypatch.setattr("tasks.attribution.opened.free_memory", lambda _: needed - 1)
    monkeypatch.setattr(Ledger, "check", None)
    with refused("audit-memory", run.student.digest):
        open_models(runner, subject)
