"""Models of every family score and sample as a plain forward pass of transformers does."""

import pytest
import torch

from tasks.model.architecture import attention_for
from tasks.model.files import Policy, load_model, load_policy, save_policy
from tasks.model.kernels.norms import leave_norms_to_the_model, write_norms_by_hand
from tasks.model.log_probs import chosen_logits, pad_right, refuse_other_logits, tried_ids
from tasks.rollout.sampling.transformers import verified
from tasks.rollout.sampling.transformers.readers import Padded
from tasks.rollout.sampling.transformers.sampler import TransformersSampler
from tasks.rollout.sampling.transformers.verified import Way, way_of
from tasks.rollout.settings import SamplingSettings
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model, tokenizer
from tests.support.zoo import FAMILIES, MUST_RUN, tiny

ROWS = [list(range(5, 17)), [*range(5, 11), 40, 41], [5, 6, 7, 90, 91, 92, 93, 94, 95]]
CHOSEN = [[False] * 7 + [True] * (len(row) - 7) for row in ROWS]
CONTEXTS = [[5, 6, 7], list(range(5, 15)), [20, 21, 22, 23], list(range(5, 15))]
TOKENS = 12
EAGER = {"gpt-oss", "gemma2", "bloom", "mamba", "mamba2", "falcon-mamba", "rwkv", "xlstm"}
WITHOUT_CACHE = {
    # One step of theirs computes otherwise than a pass over all.
    *("zamba2", "zamba2-2-groups", "nemotron-h", "nemotron-h-2-groups"),
    *("mamba", "mamba2", "falcon-mamba", "rwkv", "xlstm"),  # take no `past_key_values`
    "recurrent-gemma",  # keeps its state in its layers
}
BY_FAMILY = pytest.mark.parametrize(
    "family",
    [name if name in MUST_RUN else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES],
)


@torch.no_grad()
def plain_log_probs(model, ids):
    """Return transformers' own log-probabilities [tokens, V] of a row, in one plain pass."""
    return torch.log_softmax(model(torch.tensor([ids]), use_cache=False).logits[0].float(), -1)


@BY_FAMILY
def test_scores_and_samples_are_those_of_a_plain_forward_pass(family, tmp_path):
    made = tiny(family)
    model = load_policy(save_policy(Policy(made, tokenizer()), tmp_path)).model
    write_norms_by_hand(model)
    expected = [
        plain_log_probs(made, ids)[place - 1]
        for ids, chosen in zip(ROWS, CHOSEN, strict=True)
        for place in range(len(ids))
        if chosen[place]
    ]
    with torch.no_grad():
        scored = torch.log_softmax(chosen_logits(model, pad_right(ROWS, CHOSEN, pad_id=0)), -1)
    room = 1e-4 if FAMILIES[family].hybrid else 2e-5
    # Of all tokens, the most unlikely ones too: their numbers are larger, and so is their rounding.
    torch.testing.assert_close(scored, torch.stack(expected), rtol=1e-6, atol=room)
    sampler = TransformersSampler(model, 2, 0, SamplingSettings(max_new_tokens=TOKENS))
    noise = torch.rand(len(CONTEXTS), TOKENS, generator=torch.Generator().manual_seed(0))
    for context, turn in zip(CONTEXTS, sampler.sample(CONTEXTS, noise), strict=True):
        behind = plain_log_probs(made, [*context, *turn.ids])[len(context) - 1 : -1]
        own = behind.gather(1, torch.tensor(turn.ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(turn.log_probs), own, rtol=0, atol=room)


@BY_FAMILY
def test_attention_and_cache_are_the_fastest_that_are_right(family):
    model = tiny(family)
    assert attention_for(model.config) == ("eager" if family in EAGER else "sdpa")
    assert (way_of(model, 24) is Way.WHOLE) == (family in WITHOUT_CACHE)


@BY_FAMILY
def test_gradients_with_norms_by_hand_are_the_models_own(family):
    model = tiny(family).train(mode=False)
    batch = pad_right(ROWS, CHOSEN, pad_id=0)
    found = []
    for change in (leave_norms_to_the_model, write_norms_by_hand):
        change(model)
        model.zero_grad()
        torch.log_softmax(chosen_logits(model, batch), -1)[:, 7].sum().backward()
        found.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    plain, by_hand = found
    assert plain.keys() == by_hand.keys()
    for name, gradient in plain.items():
        room = 1e-4 * float(gradient.abs().max().clamp(min=1.0))
        torch.testing.assert_close(by_hand[name], gradient, rtol=1e-3, atol=room, msg=name)


def test_a_cache_that_is_swallowed_without_a_word_is_found(monkeypatch):
    class Swallowing(Padded):
        """A model that takes no cache: from the second token on it knows its last one alone."""

        def read(self, tokens_B):
            self._cache = type(self._cache)(config=self._model.config)
            self._mask_BP = torch.ones_like(tokens_B[:, None])
            return self._run(tokens_B[:, None])

    model = tiny("bloom")
    monkeypatch.setattr(verified, "Padded", Swallowing)
    assert way_of(model, 24) is Way.WHOLE


def test_a_model_without_a_cache_says_so_once(monkeypatch):
    reported = []
    monkeypatch.setattr(verified, "report", lambda *_, **said: reported.append(said))
    model = tiny("mamba")
    assert [way_of(model, 24), way_of(model, 30)] == [Way.WHOLE, Way.WHOLE]
    assert [said["message"].count("MambaForCausalLM") for said in reported] == [1]


def test_a_cap_on_logits_is_found_however_small_they_are(monkeypatch):
    model = tiny("recurrent-gemma", initializer_range=0.001)
    refuse_other_logits(model)
    monkeypatch.setattr(model.config, "logits_soft_cap", 29.0)  # as if it were not known here
    monkeypatch.setattr(type(model), "forward", _capped_at_30(type(model).forward))
    with refused("unknown-logits", "RecurrentGemmaForCausalLM"):
        refuse_other_logits(model)


def _capped_at_30(forward):
    def run(self, *args, **kwargs):
        mine, self.config.logits_soft_cap = self.config.logits_soft_cap, 30.0
        try:
            return forward(self, *args, **kwargs)
        finally:
            self.config.logits_soft_cap = mine

    return run


def test_a_model_of_several_parts_is_refused_with_the_way_out(tmp_path):
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    text = {**tiny("gemma3").config.to_dict(), "model_type": "gemma3_text"}
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "image_size": 8, "patch_size": 4}
    config = Gemma3Config(text_config=text, vision_config={**vision, **heads})
    Gemma3ForConditionalGeneration(config).save_pretrained(tmp_path)
    with refused("nested-config", "provost checkpoint import"):
        load_model(tmp_path)


def test_a_model_that_writes_no_text_is_refused(tmp_path):
    from transformers import ViTConfig, ViTModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ViTModel(ViTConfig(**sizes, intermediate_size=16)).save_pretrained(tmp_path)
    with refused("no-causal-lm", "ViTConfig"):
        load_model(tmp_path)


def test_the_fast_ways_are_used_where_they_are_right():
    assert way_of(tiny_model(), 24) is Way.COLUMNS
    model = tiny("mistral", sliding_window=16)
    assert way_of(model, 16) is Way.COLUMNS
    assert way_of(model, 24) is Way.PADDED  # longer than its window


def test_tried_ids_avoid_the_control_tokens_at_a_vocabularys_start():
    assert tried_ids((1, 2, 10, 1), 49_152) == [4_096, 8_192, 40_960, 4_096]
    assert len(set(tried_ids(range(1, 11), 24))) == 10
    assert tried_ids((1, 2, 3), 3) == [1, 2, 0]
