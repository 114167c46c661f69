"""However a model is run - columns, growth, shared beginnings, padding - it says the same."""

from dataclasses import replace

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen3NextConfig,
    Qwen3NextForCausalLM,
)

from tasks.model.kernels.cuda_graph import Recorded
from tasks.rollout.sampling.transformers.cache import fits
from tasks.rollout.sampling.transformers.pace import ON_CPU
from tasks.rollout.sampling.transformers.readers import Columns, Padded
from tasks.rollout.sampling.transformers.sampler import TransformersSampler
from tasks.rollout.sampling.transformers.writing import Writing
from tasks.rollout.settings import SamplingSettings
from tests.support.tiny_models import tiny_model, tokenizer

NEVER = -1
START = [40, 41, 42, 43]
CONTEXTS = [[*START, 5, 6, 7, 8, 9], [*START, 10, 11], [*START, 12, 13, 14], [*START, 15]]
PLAIN = replace(ON_CPU, shared_tokens=10**9, repeated_tokens=10**9, context_tokens=10**9)
TOKENS = 12
SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "head_dim": 8,
}


def gemma(window):
    """Return a Gemma 3: layers that look back ``window`` tokens and layers that look back all."""
    layers = ["sliding_attention", "full_attention"]
    return Gemma3ForCausalLM(Gemma3TextConfig(**SMALL, sliding_window=window, layer_types=layers))


def mixtral():
    """Return experts of which each token takes two."""
    return MixtralForCausalLM(
        MixtralConfig(**SMALL, num_local_experts=4, num_experts_per_tok=2, sliding_window=None)
    )


def gpt_neox():
    """Return a model that turns only a part of each head, and has one key for each query."""
    small = {name: SMALL[name] for name in SMALL if name not in ("num_key_value_heads", "head_dim")}
    return GPTNeoXForCausalLM(GPTNeoXConfig(**small))


def bloom():
    """Return a model that is told no positions: attention is biased by distance."""
    sizes = {"vocab_size": 64, "hidden_size": 32, "n_layer": 2, "n_head": 4}
    return BloomForCausalLM(BloomConfig(**sizes, initializer_range=0.3))


def qwen3_next():
    """Return a model with a recurrent layer and one of attention."""
    return Qwen3NextForCausalLM(
        Qwen3NextConfig(
            **SMALL,
            layer_types=["linear_attention", "full_attention"],
            linear_num_key_heads=2,
            linear_num_value_heads=2,
            linear_key_head_dim=8,
            linear_value_head_dim=8,
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=16,
            shared_expert_intermediate_size=16,
        )
    )


MADE = {
    "gemma within its window": (lambda: gemma(64), True),
    "gemma beyond its window": (lambda: gemma(8), False),
    "mixtral": (mixtral, True),
    "gpt-neox": (gpt_neox, True),
    "bloom": (bloom, False),
    "qwen3-next": (qwen3_next, False),
}


def noise_of(count, tokens=TOKENS, seed=0):
    """Return uniform noise in fp64 for so many rows."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, tokens, generator=generator, dtype=torch.float64)


def written(reader, model, noise, pace=PLAIN, end=NEVER):
    """Return the lines of each row, written with this reader."""
    with torch.inference_mode():
        lines = Writing(model, reader, noise, [end], 1.0).run(pace)
    return [lines[row] for row in range(len(lines))]


def columns_of(model, contexts=CONTEXTS, tokens=TOKENS, **changed):
    """Return what is written with columns at this pace."""
    pace = replace(PLAIN, **changed)
    with torch.inference_mode():
        reader = Columns(model, contexts, tokens - 1, pace)
    return written(reader, model, noise_of(len(contexts), tokens), pace)


def assert_same(found, expected):
    """Assert the same tokens, and log-probabilities but for rounding."""
    assert [ids for ids, _ in found] == [ids for ids, _ in expected]
    for (_, nats), (_, expected_nats) in zip(found, expected, strict=True):
        assert nats == pytest.approx(expected_nats, abs=2e-5)


@pytest.mark.parametrize("name", MADE)
@torch.no_grad()
def test_what_is_sampled_has_the_probability_that_a_plain_forward_pass_gives_it(name):
    make, is_fast = MADE[name]
    torch.manual_seed(0)
    model = make().eval()
    assert fits(model, 9 + TOKENS - 1) is is_fast
    contexts = [[token % 64 for token in context] for context in CONTEXTS]
    settings, noise = SamplingSettings(max_new_tokens=TOKENS), noise_of(4)
    longest = TransformersSampler(model, NEVER, 0, settings).sample(contexts, noise)
    # Two of the four end early and are cut out of the batch.
    end = longest[1].ids[5]
    contexts, noise = [*contexts, *contexts[1:2]], torch.cat([noise, noise[1:2]])
    turns = TransformersSampler(model, end, 0, settings).sample(contexts, noise)
    assert len(turns[1].ids) == len(turns[4].ids) <= 6
    for context, turn in zip(contexts, turns, strict=True):
        logits = model(torch.tensor([[*context, *turn.ids]])).logits[0, len(context) - 1 : -1]
        expected = torch.log_softmax(logits.float(), -1)[range(len(turn.ids)), turn.ids]
        assert turn.log_probs == pytest.approx(expected.tolist(), abs=2e-4)


@torch.no_grad()
def test_columns_write_what_transformers_own_cache_writes():
    model = tiny_model()
    with torch.inference_mode():
        padded = Padded(model, CONTEXTS, tokenizer().pad_token_id)
    assert_same(columns_of(model), written(padded, model, noise_of(4)))


@pytest.mark.parametrize("more_columns", [1, 3, 11, 100])
def test_a_cache_that_grows_holds_what_it_held(more_columns):
    model = tiny_model()
    assert_same(columns_of(model, more_columns=more_columns), columns_of(model))


@pytest.mark.parametrize("context_tokens", [1, 10, 15, 10**9])
@pytest.mark.parametrize("shared_tokens", [1, 10**9])
def test_contexts_read_in_portions_and_after_a_shared_beginning_are_the_same(
    context_tokens, shared_tokens
):
    model = tiny_model()
    found = columns_of(model, context_tokens=context_tokens, shared_tokens=shared_tokens)
    assert_same(found, columns_of(model))


def test_a_context_that_another_begins_with_keeps_a_token_of_its_own():
    contexts = [START, [*START, 5, 6], [*START, 5]]
    found = columns_of(tiny_model(), contexts, shared_tokens=1)
    assert_same(found, columns_of(tiny_model(), contexts))


def test_a_shared_beginning_goes_through_the_model_once():
    model, sizes = tiny_model(), []
    model.base_model.register_forward_pre_hook(
        lambda _, args, kwargs: sizes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    columns_of(model, tokens=1, shared_tokens=12)
    # 4 tokens of the first row, then what each of the four has of its own: 5 tokens at the most.
    assert sizes == [(1, 4), (4, 5)]
    sizes.clear()
    columns_of(model, tokens=1, shared_tokens=13)  # it saves 4 x 3 tokens
    assert sizes == [(4, 9)]


def test_repeated_contexts_go_through_the_model_once_and_write_by_their_own_noise():
    model, sizes = tiny_model(), []
    contexts = [CONTEXTS[0], CONTEXTS[1], CONTEXTS[0], CONTEXTS[0]]
    expected = columns_of(model, contexts)
    model.base_model.register_forward_pre_hook(
        lambda _, args, kwargs: sizes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    assert_same(columns_of(model, contexts, repeated_tokens=18), expected)
    assert sizes[0] == (2, 9)
    assert expected[0] != expected[2]


def test_a_step_that_can_be_recorded_does_what_a_plain_one_does(monkeypatch):
    # Without a GPU a recording is its own step, called anew: the buffers are what is tested.
    monkeypatch.setattr(Recorded, "__call__", lambda self: self._step())
    model = tiny_model()
    found = columns_of(model, is_recorded=True, look_every=4, more_columns=5)
    assert_same(found, columns_of(model))


def test_a_recordable_step_moves_none_of_its_buffers():
    model = tiny_model()
    with torch.inference_mode():
        pace = replace(PLAIN, is_recorded=True)
        reader = Columns(model, CONTEXTS, TOKENS - 1, pace)
        writing = Writing(model, reader, noise_of(4), [NEVER], 1.0)
        writing._draw(reader.read_contexts())

        def places():
            owned = [*vars(writing).items(), *vars(reader).items()]
            owned += enumerate(reader._cache._own[0]._held)
            return {
                name: value.data_ptr() for name, value in owned if isinstance(value, torch.Tensor)
            }

        before = places()
        reader.make_room()
        writing._step()
        assert len(before) >= 10
        assert places() == before


def test_a_step_is_forgotten_when_its_buffers_move(monkeypatch):
    calls = []
    monkeypatch.setattr(Recorded, "__call__", lambda self: (calls.append("step"), self._step()))
    monkeypatch.setattr(Recorded, "forget", lambda self: calls.append("forget"))
    columns_of(tiny_model(), tokens=6, is_recorded=True, more_columns=2)
    # Room for two tokens, twice more for two: the third and the fifth find none.
    assert calls == ["step", "step", "forget", "step", "step", "forget", "step"]


def test_rows_that_ended_between_looks_keep_what_they_wrote_before_their_end():
    model, noise = tiny_model(), noise_of(4)
    every = columns_of(model)
    end = every[1][0][2]
    with torch.inference_mode():
        seldom = replace(PLAIN, look_every=5, compact_below=0.9)
        reader = Columns(model, CONTEXTS, TOKENS - 1, seldom)
    found = written(reader, model, noise, seldom, end)
    for (ids, _), (expected, _) in zip(found, every, strict=True):
        length = expected.index(end) + 1 if end in expected else TOKENS
        assert ids[:length] == expected[:length]


@pytest.mark.gpu
def test_a_recorded_step_on_a_gpu_writes_what_the_cpu_writes():
    settings = SamplingSettings(max_new_tokens=40)
    model, noise = tiny_model(), noise_of(4, 40)
    expected = TransformersSampler(model, NEVER, 0, settings).sample(CONTEXTS, noise)
    on_gpu = TransformersSampler(model.to("cuda"), NEVER, 0, settings)
    found = on_gpu.sample(CONTEXTS, noise)
    for turn, other in zip(found, expected, strict=True):
        assert turn.log_probs[0] == pytest.approx(other.log_probs[0], abs=1e-3)
    assert on_gpu.sample(CONTEXTS, noise) == found


def test_of_contexts_the_last_mlp_reads_the_last_tokens_alone():
    model, seen = tiny_model(), []
    for layer in model.model.layers:
        layer.mlp.gate_proj.register_forward_pre_hook(
            lambda _, inputs: seen.append(inputs[0].shape[:-1].numel())
        )
    with torch.inference_mode():
        Columns(model, CONTEXTS, TOKENS, PLAIN).read_contexts()
    # Four contexts of up to nine tokens; what comes next depends on the last of each.
    assert seen == [36, 4]
