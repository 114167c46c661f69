"""An audit on a GPU: the numbers of the CPU, from weights that stay in host memory."""

import pytest
import torch
from torch import nn

from tasks.attribution.path_integral import allocate
from tasks.attribution.trajectory import Scorer
from tests.support.courses import behavior, course, direction, encoded, scorer, weights
from tests.support.tiny_models import tiny_model

pytestmark = pytest.mark.gpu
BATCH = encoded(behavior(), behavior("owl", "fox", contrast="owl fox"))


def on_gpu():
    return Scorer(nn.Module.to(tiny_model(), "cuda"), BATCH.tokens)


def test_the_parts_are_those_of_the_cpu_and_in_host_memory():
    segments = [{"math": direction(1, 0.4), "code": direction(2, 0.6)}]
    here, there = (allocate(one, BATCH, course(*segments)) for one in (scorer(BATCH), on_gpu()))
    for part in here.parts:
        assert there.tokens(part).device.type == "cpu"
        torch.testing.assert_close(there.tokens(part), here.tokens(part), rtol=1e-3, atol=1e-4)


def test_a_gradient_stays_where_the_model_is():
    found = on_gpu().gradient(weights(), BATCH.signs_N)
    for name, expected in scorer(BATCH).gradient(weights(), BATCH.signs_N).items():
        assert found[name].device.type == "cuda"
        torch.testing.assert_close(found[name].cpu(), expected, rtol=1e-3, atol=1e-4)
