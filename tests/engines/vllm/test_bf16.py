"""A real vLLM server in bf16, started without the processed log-probabilities."""

import pytest
import torch

from tasks.rollout.sampling.vllm.client import VllmError
from tests.support.refused import raised
from tests.support.vllm_turns import CONTEXTS, gaps, noise_for, sampler, sampling

pytestmark = [pytest.mark.slow, pytest.mark.engine]


@pytest.fixture(scope="module")
def rounding_server(serve):
    with serve("--dtype", "bfloat16") as server:
        yield server


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gap_is_rounding_and_within_the_limit(rounding_server, policy, weights, dtype):
    policy.model.to(dtype)
    settings = sampling(rounding_server, weights)
    turns = sampler(policy, settings).sample(CONTEXTS, noise_for())
    found = float(gaps(policy, CONTEXTS, turns).mean())
    assert found < settings.vllm.max_log_prob_gap
    # About what bf16 does to the policy itself.
    policy.model.float()
    exact = gaps(policy, CONTEXTS, turns)
    policy.model.bfloat16()
    rounded = gaps(policy, CONTEXTS, turns)
    own = float((rounded - exact).abs().mean())
    assert own / 4 < found < 4 * own


def test_log_probabilities_before_the_temperature_are_refused(rounding_server, policy, weights):
    with raised(VllmError, "other-log-probabilities"):
        sampler(policy, sampling(rounding_server, weights, 0.5)).sample(CONTEXTS, noise_for())
