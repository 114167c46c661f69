"""LoRA students that two real vLLM servers are sent as adapters."""

from contextlib import ExitStack

import pytest
import torch

from tasks.model.lora import add_adapter
from tasks.model.settings import AdapterSettings
from tasks.rollout.sampling.vllm.client import VllmError
from tests.engines.vllm.test_ranks import assert_same, play
from tests.support.refused import raised
from tests.support.vllm_turns import CONTEXTS, gaps, noise_for, sampler, sampling, text

pytestmark = [pytest.mark.slow, pytest.mark.engine]
EXACT = 2e-5
"""Nats per token: what is allowed between any two engines in fp32."""
LARGEST = 8
ROUTES = ("/collective_rpc", "/v1/load_lora_adapter", "/v1/completions")


@pytest.fixture(scope="module")
def servers(serve):
    """Two servers over the start's weights that take adapters of rank 8 or less."""
    told = ("--dtype", "float32", "--logprobs-mode", "processed_logprobs")
    with ExitStack() as stack:
        yield [stack.enter_context(serve(*told, lora_rank=LARGEST)) for _ in "ab"]


def calls(server):
    """Return how often each route was called."""
    return {route: server.log.count(f'"POST {route} HTTP') for route in ROUTES}


def test_an_adapter_acts_as_in_the_policy_at_every_update(servers, policy, weights):
    server, before = servers[0], calls(servers[0])
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():  # weights that the server's own folder does not hold
        for weight in policy.model.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    add_adapter(policy.model, AdapterSettings(rank=2, alpha=4))
    ours, texts = sampler(policy, sampling(server, weights, temperature=0.7)), []
    for b in (0.0, 0.02, 0.3):
        for name, parameter in policy.model.named_parameters():
            if "lora_B" in name:
                parameter.data.fill_(b)
        for _ in range(2):  # the second time with prefixes from the cache
            turns = ours.sample(CONTEXTS, noise_for())
            assert float(gaps(policy, CONTEXTS, turns, temperature=0.7).max()) < EXACT
        texts.append(tuple(text(turns)))
    assert len(set(texts)) == 3
    made = {route: calls(server)[route] - before[route] for route in ROUTES}
    # A look at the route, the first adapter before the base as well, and one for each update.
    assert made == {ROUTES[0]: 1, ROUTES[1]: 1 + 1 + 3, ROUTES[2]: 6 * len(CONTEXTS)}


def test_a_server_of_a_smaller_rank_is_refused_and_goes_on(servers, policy, weights):
    whole = sampler(policy, sampling(servers[0], weights))
    whole.sample(CONTEXTS, noise_for())  # all weights, into a server with layers for adapters
    add_adapter(policy.model, AdapterSettings(rank=16, alpha=4))
    before = calls(servers[0])[ROUTES[0]]
    with raised(VllmError, "adapter-not-loaded", "rank 16", f"max_lora_rank {LARGEST}"):
        sampler(policy, sampling(servers[0], weights)).sample(CONTEXTS, noise_for())
    assert calls(servers[0])[ROUTES[0]] == before


def test_two_ranks_send_two_servers_the_adapter_alone(servers, start, tmp_path):
    loop, before = {"adapter": {"rank": 2, "alpha": 4}}, [*map(calls, servers)]
    ranks = play(tmp_path / "ranks", 2, start, servers, loop=loop)
    for server, earlier in zip(servers, before, strict=True):
        made = {route: calls(server)[route] - earlier[route] for route in ROUTES}
        assert (made[ROUTES[0]], made[ROUTES[1]]) == (1, 1 + 1 + 3)  # three updates
        assert made[ROUTES[2]] >= 3
    alone = play(tmp_path / "alone", 0, start, servers[:1], loop=loop)
    assert_same(ranks, alone, start)
