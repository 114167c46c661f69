"""A turn ends at every token that the model declares as an end, with either engine."""

import torch

from tasks.model.architecture import declared_ends
from tasks.model.files import Policy, load_policy, save_policy
from tasks.rollout.domains import make_player
from tasks.rollout.sampling.transformers.sampler import TransformersSampler
from tasks.rollout.settings import SamplingSettings
from tests.support.tiny_models import tiny_model, tiny_policy, tokenizer

OTHER = 17
CONTEXTS = [[40, 41, 42], [43, 44], [45, 46, 47, 48]]
NOISE = torch.rand(3, 24, generator=torch.Generator().manual_seed(1))


def sampled(others):
    settings = SamplingSettings(max_new_tokens=24)
    return TransformersSampler(tiny_model(), 2, 0, settings, others).sample(CONTEXTS, NOISE)


def test_a_turn_ends_at_the_first_of_the_declared_tokens():
    long = sampled([])
    written = {token for turn in long for token in turn.ids[:-1]}
    other = min(written)
    for turn, whole in zip(sampled([other]), long, strict=True):
        expected = whole.ids[: whole.ids.index(other) + 1] if other in whole.ids else whole.ids
        assert turn.ids == expected
        assert turn.ended == (turn.ids[-1] in (2, other))
    assert any(turn.ids[-1] == other for turn in sampled([other]))


def test_config_and_generation_config_declare_ends(tmp_path):
    model = tiny_model()
    model.config.eos_token_id = 2
    model.generation_config.eos_token_id = [2, OTHER]
    loaded = load_policy(save_policy(Policy(model, tokenizer()), tmp_path))
    assert declared_ends(loaded.model) == {2, OTHER}
    player = make_player({}, loaded, SamplingSettings())
    assert player.sampler._ends == {2, OTHER}
    assert player._chat.decode([67, OTHER]) == player._chat.decode([67])


def test_a_model_without_a_declared_end_keeps_the_templates():
    policy = tiny_policy()
    policy.model.config.eos_token_id = policy.model.generation_config.eos_token_id = None
    assert declared_ends(policy.model) == set()
    assert make_player({}, policy, SamplingSettings()).sampler._ends == {2}
