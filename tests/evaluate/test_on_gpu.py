"""Scorecards on a GPU: the model computes there, with the numbers of the CPU."""

import pytest
import torch

from lineage.artifacts import Artifact
from tasks.evaluate.drift import drift_of
from tasks.evaluate.measure import Examiner
from tasks.evaluate.settings import EvaluationSettings
from tasks.evaluate.text_loss import text_loss
from tasks.model.devices import on_rank_device
from tasks.model.files import save_policy
from tasks.platform.step_runner import StepRunner
from tests.evaluate.test_recipe_card import rollout
from tests.support.making import write_record
from tests.support.mirrors import MemoryMirror
from tests.support.tiny_models import tiny_policy

pytestmark = pytest.mark.gpu


def test_drift_and_text_loss_are_those_of_the_cpu():
    rows = [rollout([5, 6, 7, 8]), rollout([9, 10, 11])]
    texts = [f"{n}+{n}={2 * n}" for n in range(10, 90)]
    drift, loss = (
        drift_of(tiny_policy(0), tiny_policy(1), "add", rows),
        text_loss(tiny_policy(0), texts),
    )
    one, two = on_rank_device(tiny_policy(0)), on_rank_device(tiny_policy(1))
    assert one.model.device.type == "cuda"
    assert drift_of(one, two, "add", rows).nats == pytest.approx(drift.nats, rel=1e-3)
    assert text_loss(one, texts).nats == pytest.approx(loss.nats, rel=1e-3)


def test_an_examiner_samples_on_the_gpu(home, tmp_path):
    runner = StepRunner(mirror=MemoryMirror())
    digest = runner.store.put_tree(save_policy(tiny_policy(), tmp_path / "model"))
    record, _ = write_record(runner.store, b"", output=digest, output_kind="checkpoint")
    checkpoint = Artifact(kind="checkpoint", digest=digest, record=record)
    examiner = Examiner(runner, checkpoint, EvaluationSettings())
    assert examiner._load().model.device == torch.device("cuda", torch.cuda.current_device())
