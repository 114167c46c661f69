"""Turns sampled by a real vLLM server: how exact they are, and by which weights."""

import json
import urllib.request

import pytest
import torch

from tests.support.refused import refused
from tests.support.vllm_turns import CONTEXTS, gaps, noise_for, sampler, sampling, text

pytestmark = [pytest.mark.slow, pytest.mark.engine]
EXACT = 2e-5
"""Nats per token: what is allowed between any two engines in fp32."""


def counter(server, name):
    """Return the value of one of the server's counters."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=60) as reply:
        lines = reply.read().decode().splitlines()
    values = [line.rpartition(" ")[2] for line in lines if line.startswith(f"{name}{{")]
    return sum(map(float, values))


def held(server):
    """Return the version of weights that the server holds."""
    with urllib.request.urlopen(f"{server.url}/weight_info", timeout=60) as reply:
        return json.load(reply)["weight_version"]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probabilities_equal_the_policys(server, policy, weights, temperature):
    settings = sampling(server, weights, temperature)
    turns = sampler(policy, settings).sample(CONTEXTS, noise_for())
    assert float(gaps(policy, CONTEXTS, turns, temperature).max()) < EXACT
    assert all(1 <= len(turn.ids) <= settings.max_new_tokens for turn in turns)


def test_the_same_noise_samples_the_same_text_in_any_order_and_company(server, policy, weights):
    ours, noise = sampler(policy, sampling(server, weights)), noise_for()
    together = ours.sample(CONTEXTS, noise)
    assert text(ours.sample(CONTEXTS[::-1], noise.flip(0))[::-1]) == text(together)
    assert text(ours.sample(CONTEXTS[2:3], noise[2:3])) == text(together[2:3])
    assert text(ours.sample(CONTEXTS, noise_for(seed=1))) != text(together)


def test_weights_are_replaced_in_place_and_nothing_cached_of_the_old_ones_is_used(
    server, policy, weights
):
    ours, noise = sampler(policy, sampling(server, weights)), noise_for()
    first = ours.sample(CONTEXTS, noise)
    before, version = counter(server, "vllm:prefix_cache_hits_total"), held(server)
    assert text(ours.sample(CONTEXTS, noise)) == text(first)
    assert counter(server, "vllm:prefix_cache_hits_total") > before
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in policy.model.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    changed = ours.sample(CONTEXTS, noise)
    assert text(changed) != text(first)
    assert held(server) != version
    assert float(gaps(policy, CONTEXTS, changed).max()) < EXACT
    # The prefixes are in the cache again, and are those of the new weights.
    assert float(gaps(policy, CONTEXTS, ours.sample(CONTEXTS, noise)).max()) < EXACT


def test_a_lora_students_weights_arrive_merged(server, policy, weights):
    from tasks.model.lora import add_adapter
    from tasks.model.settings import AdapterSettings

    add_adapter(policy.model, AdapterSettings(rank=2, alpha=4.0))
    for name, parameter in policy.model.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.3)
    turns = sampler(policy, sampling(server, weights)).sample(CONTEXTS, noise_for())
    assert float(gaps(policy, CONTEXTS, turns).max()) < EXACT


def test_a_turn_ends_at_the_first_of_several_end_tokens(server, policy, weights):
    ends = range(100, 280)  # most of the vocabulary: some turn ends at once, others do not
    ours = sampler(policy, sampling(server, weights), ends)
    turns = ours.sample(CONTEXTS, noise_for())
    assert any(turn.ended for turn in turns)
    for turn in turns:
        assert not any(token in ends for token in turn.ids[:-1])
        assert turn.ended == (turn.ids[-1] in ends or len(turn.ids) < noise_for().shape[1])


def test_a_context_that_the_server_has_no_room_for_is_refused(server, policy, weights):
    ours = sampler(policy, sampling(server, weights))
    with refused("context-too-long", "117 tokens", "12 new ones", "the 128"):
        ours.sample([[5] * 117], noise_for(1))
    assert len(ours.sample([[5] * 116], noise_for(1))) == 1
