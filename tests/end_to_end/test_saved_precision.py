"""A model that is brought in, fine-tuned and climbed from in bf16, up to the audit."""

import pytest
import torch

from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tasks.attribution.audit import explain
from tasks.model.files import load_model
from tasks.platform.step_runner import StepRunner
from tests.support.courses import behavior
from tests.support.mirrors import MemoryMirror
from tests.support.mopd_rounds import Run, planned, told
from tests.support.refusals import provost
from tests.support.tiny_faculty import PACKAGE, TEAMS, climb


def half_of(reference):
    """Say whether a registered checkpoint is stored in bf16."""
    store = open_store()
    entry = Registry(store).resolve(reference)
    return load_model(store.tree(entry.digest)).dtype == torch.bfloat16


@pytest.fixture
def half(fork_point):
    """Import the fork point in bf16, as its next version; return what was printed."""
    store = open_store()
    folder = store.tree(Registry(store).resolve("fork-point@released").digest)
    return provost("checkpoint", "import", str(folder), "--saved-precision", "bf16")


def test_a_checkpoint_is_imported_in_bf16(half):
    assert "saved as: bf16, rounding 0." in half
    assert half_of("fork-point@2")


@pytest.mark.usefixtures("half")
def test_a_checkpoint_in_bf16_stays_in_bf16_and_one_in_fp32_in_fp32():
    store = open_store()
    for version, precision in ((2, "bf16"), (1, "fp32")):
        folder = store.tree(Registry(store).resolve(f"fork-point@{version}").digest)
        assert f"saved as: {precision}" in provost("checkpoint", "import", str(folder))
        assert half_of("fork-point@released") == (precision == "bf16")


# Of the default suite, test_steps of sft and reward_model and test_train of preference and
# mid_training train from bf16, and test_saved_student saves and audits a student in bf16.
@pytest.mark.slow
@pytest.mark.usefixtures("half", "teams_on_path")
def test_a_fork_point_in_bf16_teaches_and_is_audited():
    for team in TEAMS:
        climb(f"{PACKAGE}.{team}")
    runner = StepRunner(open_store(), mirror=MemoryMirror())
    plan = planned(runner)
    assert not [note for note in plan.notes if note.severity == "refusal"]
    run = Run(runner, plan, told())
    assert {tensor.dtype for tensor in run.weights().values()} == {torch.float32}
    audit = explain(runner, run.student.digest, [behavior()])
    assert audit.weights.unexplained < 1e-6
    assert audit.residual < 3e-3  # what an audit integrates to
