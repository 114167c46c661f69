"""On fixed rollouts, ranks that hold each teacher together distil what one process distils."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from tasks.model.files import load_model
from tests.onpolicy.test_parallel import base_model, run
from tests.support import zoo
from tests.support.pool_teachers import saved
from tests.support.tiny_models import tiny_model

pytestmark = pytest.mark.slow
TOLERANCE = 1e-5
"""Largest distance of a tensor, relative to its norm."""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A student, a teacher with tied embeddings, and one with experts."""
    folder = tmp_path_factory.mktemp("models")
    base_model(folder / "base", tied=False)
    saved(tiny_model(1, hidden_size=24), folder / "math")
    saved(zoo.tiny("qwen3-moe"), folder / "code")
    return folder


def distil(models, folder, ranks, **told):
    """Return the weights and the metrics of a run."""
    shutil.copytree(models, folder)
    loop = {"microbatch_tokens": 24, "learning_rate": 1e-2} | told
    run("ranks_distil.py", ranks, folder, json.dumps(loop))
    return load_file(folder / "w"), json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def alone(models, tmp_path_factory):
    return distil(models, tmp_path_factory.mktemp("alone") / "run", 0)


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_distil_what_one_process_distils(models, tmp_path, alone, ranks):
    found, metrics = distil(models, tmp_path / "run", ranks)
    expected, theirs = alone
    before = load_model(models / "base").state_dict()
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        assert float((found[name] - weight).norm()) <= TOLERANCE * float(weight.norm()), name
        # What was compared is a result: each tensor moved by far more than that.
        assert float((weight - before[name]).norm()) >= 100 * TOLERANCE * float(weight.norm()), name
    for ours, one in zip(metrics, theirs, strict=True):
        for domain in ("math", "code"):
            assert ours[f"kl/{domain}"] == pytest.approx(one[f"kl/{domain}"], rel=1e-4)
        assert ours["gradient_norm"] == pytest.approx(one["gradient_norm"], rel=1e-4)


def test_another_teacher_makes_another_student(models, tmp_path, alone):
    """So the comparison would see a teacher that was put together wrong."""
    other = shutil.copytree(models, tmp_path / "models")
    shutil.rmtree(other / "code")
    model = load_model(models / "code")
    with torch.no_grad():
        model.lm_head.weight[7] *= 1.01
    saved(model, other / "code")
    found, _ = distil(other, tmp_path / "run", 0)
    far = [
        name
        for name, weight in alone[0].items()
        if float((found[name] - weight).norm()) > TOLERANCE * float(weight.norm())
    ]
    assert far
