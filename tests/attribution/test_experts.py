"""Audits of models with experts: derivatives equal finite differences, and parts add up."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tasks.attribution.path_integral import allocate
from tasks.attribution.trajectory import Scorer, Stretch
from tasks.ledger.schema import Segment
from tests.support.courses import behavior, encoded
from tests.support.hidden_states import SMALL

BATCH = encoded(behavior(), behavior("owl", "fox", contrast="owl fox"))
LATENT = {
    "n_routed_experts": 4,
    "n_group": 2,
    "topk_group": 1,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4,
    "v_head_dim": 8,
}
FAMILIES = {
    "qwen3_moe": {},
    "mixtral": {"num_local_experts": 4},
    "olmoe": {"eos_token_id": 1},
    "deepseek_v3": LATENT,
}


def experts_model(family):
    """Return a tiny model with two experts per token, far from uniform."""
    sizes = SMALL | {"vocab_size": 280, "max_position_embeddings": 96} | FAMILIES[family]
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **sizes)).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3, generator=generator)
    return model


def direction(weights, seed, size):
    """Return a random displacement of every weight."""
    generator = torch.Generator().manual_seed(seed)
    return {n: size * torch.randn(t.shape, generator=generator) for n, t in weights.items()}


def opened(family):
    model = experts_model(family)
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    return Scorer(model, BATCH.tokens), weights


@pytest.mark.parametrize("family", FAMILIES)
def test_a_derivative_through_experts_is_that_of_finite_differences(family):
    scorer, weights = opened(family)
    ways = [direction(weights, seed, 0.01) for seed in (1, 2)]
    step = 1e-2
    for slope_N, way in zip(scorer.derivatives(weights, ways), ways, strict=True):
        ahead_N, behind_N = (
            scorer.log_probs({n: t + sign * step * way[n] for n, t in weights.items()})
            for sign in (1, -1)
        )
        torch.testing.assert_close(slope_N, (ahead_N - behind_N) / (2 * step), rtol=0, atol=2e-3)
        assert float(slope_N.abs().max()) > 0.05
    experts = [name for name in weights if "experts" in name]
    only = {n: t if n in experts else torch.zeros_like(t) for n, t in ways[0].items()}
    assert float(scorer.derivatives(weights, [only]).abs().max()) > 0.01


@pytest.mark.parametrize("family", FAMILIES)
def test_the_parts_of_a_model_with_experts_add_up(family):
    scorer, weights = opened(family)
    parts = {"math": direction(weights, 1, 1e-4), "code": direction(weights, 2, 1e-4)}
    segment = Segment(
        first_step=1,
        last_step=1,
        file="",
        start="",
        end="",
        norms=dict.fromkeys(parts, 1.0),
        change=1.0,
        lost=0.0,
    )
    found = allocate(scorer, BATCH, [Stretch(segment, weights, parts)])
    assert float(found.residual.max()) < 0.01
