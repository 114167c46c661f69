"""The step of a reward model: what its record holds, and what it refuses."""

import pytest
import torch

from lineage.artifacts import Artifact
from lineage.store.store import FolderStore
from tasks.contracts.handover import StageLabel
from tasks.model.files import save_policy
from tasks.model.saving import save_in
from tasks.model.settings import Precision
from tasks.platform.measurements import measured_here
from tasks.platform.step_runner import StepRunner
from tasks.reward_model.settings import RewardModelSettings
from tasks.reward_model.steps import RewardData, train_reward_model
from tasks.rollout.environment import Demonstration, Message, Prompt, Turn
from tasks.rollout.prompts import write_demonstrations
from tasks.rollout.responses import ScoredResponse, Strength, write_comparisons
from tasks.scoring.reward_model import RewardModelScorer, load_reward_model
from tests.support.mirrors import MemoryMirror
from tests.support.preferences import long_over_short, pair
from tests.support.refused import refused
from tests.support.tiny_models import tiny_policy

SETTINGS = RewardModelSettings(
    num_steps=10, batch_size=4, learning_rate=1e-2, warmup_steps=0, held_out_share=0.3
)
STAGE = StageLabel(name="reward model", owner="team-helpful")
SHOWN = [
    Demonstration((Message("user", f"{n}+1"),), (Turn("assistant", f"{n} {n} {n}"),))
    for n in range(40, 44)
]


@pytest.fixture
def runner(tmp_path):
    return StepRunner(FolderStore(tmp_path / "store"), mirror=MemoryMirror())


@pytest.fixture
def given(runner, tmp_path):
    """A policy, comparisons and demonstrations in the store."""
    write_comparisons(tmp_path / "c.jsonl", long_over_short())
    write_demonstrations(tmp_path / "d.jsonl", SHOWN)
    start = runner.store.put_tree(save_policy(tiny_policy(0), tmp_path / "start"))
    comparisons, shown = (runner.store.put_file(tmp_path / f"{n}.jsonl") for n in "cd")
    return (
        Artifact(kind="checkpoint", digest=start),
        RewardData(
            [Artifact(kind="comparisons", digest=comparisons)],
            [Artifact(kind="dataset", digest=shown)],
        ),
    )


@pytest.mark.medium
def test_a_reward_model_is_recorded_with_its_accuracy_and_scores_demonstrations_zero(runner, given):
    start, data = given
    with measured_here() as measured:
        made = train_reward_model(runner, start, data, SETTINGS, 0, STAGE)
    assert made.kind == "reward_model"
    record = runner.records.read(made.record)
    assert record.kind == "reward_model"
    assert [(item.role, item.artifact) for item in record.inputs] == [
        ("start", start.digest),
        ("comparisons", data.comparisons[0].digest),
        ("data", data.demonstrations[0].digest),
    ]
    rows = {row.name: row for row in measured[0].rows}
    assert rows["accuracy_better"].value == rows["accuracy"].value  # of the held-out prompts
    assert 1 <= rows["accuracy_pairs"].value < 16
    assert rows["accuracy_low"].value < rows["accuracy"].value + 1e-9
    notes = runner.records.output(made.record).notes
    assert notes["tokens_trained"] > 10 * 4 * 2 * 10  # steps x prompts x responses x tokens each
    scorer = RewardModelScorer.stored(runner.store, made)
    asked = [
        ScoredResponse("helpful", Prompt("d", each.messages, {}), each.turns, "", {"grade": 1}, 1)
        for each in SHOWN
    ]
    assert sum(scorer.score(asked)) == pytest.approx(0, abs=1e-4)
    assert train_reward_model(runner, start, data, SETTINGS, 0, STAGE) == made


@pytest.mark.medium
def test_a_start_in_bf16_trains_in_fp32_and_may_be_saved_in_bf16_again(runner, given, tmp_path):
    save_in(tiny_policy(0), tmp_path / "bf16", Precision.BF16)
    start = Artifact(kind="checkpoint", digest=runner.store.put_tree(tmp_path / "bf16"))
    # Of weights near 1 bf16 would keep nothing of steps of a thousandth.
    settings = SETTINGS.model_copy(update={"num_steps": 1, "learning_rate": 1e-3})
    for precision, dtype in ((Precision.FP32, torch.float32), (Precision.BF16, torch.bfloat16)):
        told = settings.model_copy(update={"saved_precision": precision})
        made = train_reward_model(runner, start, given[1], told, 0, STAGE)
        model = load_reward_model(runner.store.tree(made.digest)).model
        assert {weight.dtype for weight in model.parameters()} == {dtype}
        if precision is Precision.FP32:
            norms = [weight for name, weight in model.named_parameters() if "norm" in name]
            assert all((weight - 1).abs().min() > 5e-4 for weight in norms)


def test_other_kinds_are_refused_before_anything_is_loaded(runner, given):
    start, data = given
    other = Artifact(kind="responses", digest=start.digest)
    for wrong in (
        (start.model_copy(update={"kind": "reward_model"}), data),
        (start, RewardData([other])),
        (start, RewardData(data.comparisons, [other])),
    ):
        with refused("other-kind"):
            train_reward_model(runner, *wrong, SETTINGS, 0, STAGE)
    assert runner.records.all() == []


def test_nothing_but_ties_is_refused(runner, given, tmp_path):
    write_comparisons(tmp_path / "t.jsonl", [pair(strength=Strength.TIE)])
    ties = Artifact(kind="comparisons", digest=runner.store.put_file(tmp_path / "t.jsonl"))
    with refused("only-ties"):
        train_reward_model(runner, given[0], RewardData([ties]), SETTINGS, 0, STAGE)


def test_a_system_prompt_that_it_would_not_read_is_refused(runner, given):
    told = STAGE.model_copy(update={"system_prompt": "fox owl"})
    with refused("unread-system-prompt"):
        train_reward_model(runner, *given, SETTINGS, 0, told)
