"""What is sampled follows the model's probabilities and the row's own noise, and nothing else."""

import pytest
import torch
from torch import nn
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel

from tasks.model.files import load_policy, save_policy
from tasks.model.kernels.norms import write_norms_by_hand
from tasks.model.log_probs import chosen_logits, pad_right, token_log_probs
from tasks.rollout.sampling.transformers.sampler import TransformersSampler
from tasks.rollout.settings import SamplingSettings
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model, tiny_policy, tokenizer

END, PAD = tokenizer().eos_token_id, tokenizer().pad_token_id
CONTEXTS = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14], [15], [16, 17, 18, 19], [20, 21]]


def sampler_of(model, tokens=12, temperature=1.0):
    """Return a sampler of at most so many tokens a turn."""
    settings = SamplingSettings(max_new_tokens=tokens, temperature=temperature)
    return TransformersSampler(model, END, PAD, settings)


def noise_for(count, tokens=12, seed=0):
    """Return uniform noise for so many rows."""
    return torch.rand(count, tokens, generator=torch.Generator().manual_seed(seed))


def ending_model(share):
    """Return a tiny model that ends a turn with about this probability at every token.

    The end token's logit is the log of the sum of all others plus log(share / (1 - share)).
    """
    model = tiny_model()

    class Ending(nn.Module):
        def forward(self, hidden):
            logits = hidden @ model.model.embed_tokens.weight.T
            logits[..., END] = float("-inf")
            logits[..., END] = logits.logsumexp(-1) + torch.tensor(share / (1 - share)).log()
            return logits

    model.lm_head = Ending()
    return model


def absolute_model():
    """Return a model that learns a vector for each place, unlike one that turns by distance."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer()),
        n_positions=96,
        n_embd=16,
        n_layer=1,
        n_head=2,
        initializer_range=0.5,
        eos_token_id=END,
        bos_token_id=END,
    )
    return GPT2LMHeadModel(config).eval()


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("make_model", [tiny_model, absolute_model])
@torch.no_grad()
def test_sampled_log_probabilities_are_those_of_a_forward_pass(make_model, temperature):
    model = make_model()
    turns = sampler_of(model, temperature=temperature).sample(CONTEXTS, noise_for(6))
    whole = [[*ids, *turn.ids] for ids, turn in zip(CONTEXTS, turns, strict=True)]
    chosen = [[False] * len(ids) for ids in CONTEXTS]
    for flags, turn in zip(chosen, turns, strict=True):
        flags += [True] * len(turn.ids)
    batch = pad_right(whole, chosen, PAD)
    expected = token_log_probs(chosen_logits(model, batch, temperature), batch.tokens_N)
    sampled = torch.tensor([log_prob for turn in turns for log_prob in turn.log_probs])
    torch.testing.assert_close(sampled, expected, rtol=1e-4, atol=1e-4)


def test_a_row_has_the_same_text_alone_and_in_any_company():
    # Turns of about three tokens: most rows end early and are cut out of the cache.
    model = ending_model(0.3)
    sampler, noise = sampler_of(model), noise_for(6)
    together = sampler.sample(CONTEXTS, noise)
    assert len({len(turn.ids) for turn in together}) > 2
    for place, turn in enumerate(together):
        alone = sampler.sample([CONTEXTS[place]], noise[[place]])[0]
        assert alone.ids == turn.ids
        assert alone.log_probs == pytest.approx(turn.log_probs, abs=1e-4)


def test_rows_that_have_ended_are_cut_out_of_the_batch():
    model, sizes = ending_model(0.3), []
    sampler_of(model).sample(CONTEXTS[:1], noise_for(1))  # the first use also tries the ways
    model.base_model.register_forward_pre_hook(
        lambda _, args, kwargs: sizes.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    sampler_of(model).sample(CONTEXTS * 4, noise_for(24))
    assert sizes[0] == 24
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 6


def test_the_order_of_a_batch_does_not_matter():
    sampler, noise = sampler_of(ending_model(0.3)), noise_for(6)
    forwards = sampler.sample(CONTEXTS, noise)
    backwards = sampler.sample(CONTEXTS[::-1], noise.flip(0))
    assert [turn.ids for turn in backwards[::-1]] == [turn.ids for turn in forwards]


def test_a_turn_depends_on_its_own_noise():
    sampler, noise = sampler_of(tiny_model()), noise_for(6)
    other = noise.clone()
    other[2] = noise_for(1, seed=9)[0]
    pairs = zip(sampler.sample(CONTEXTS, noise), sampler.sample(CONTEXTS, other), strict=True)
    assert [first.ids == second.ids for first, second in pairs] == [True, True, False] + [True] * 3


def test_a_turn_that_ends_holds_its_end_token_and_one_that_is_cut_does_not():
    turns = sampler_of(ending_model(0.15), tokens=6).sample(CONTEXTS * 4, noise_for(24, 6))
    assert {turn.ended for turn in turns} == {True, False}
    for turn in turns:
        assert turn.ended == (turn.ids[-1] == END)
        assert END not in turn.ids[:-1]
        assert len(turn.log_probs) == len(turn.ids)
        assert turn.ended or len(turn.ids) == 6


@pytest.mark.parametrize(("share", "num_tokens", "ended"), [(0.999999, 1, True), (1e-9, 5, False)])
def test_a_model_that_always_or_never_ends_writes_one_token_or_all(share, num_tokens, ended):
    turns = sampler_of(ending_model(share), tokens=5).sample(CONTEXTS, noise_for(6, 5))
    assert {(len(turn.ids), turn.ended) for turn in turns} == {(num_tokens, ended)}


def test_an_end_on_the_last_token_is_an_end():
    turns = sampler_of(ending_model(0.999999), tokens=1).sample(CONTEXTS, noise_for(6, 1))
    assert all(turn.ended for turn in turns)


@torch.no_grad()
def test_tokens_are_as_frequent_as_they_are_probable():
    model = tiny_model()
    count = 4000
    turns = sampler_of(model, tokens=1).sample([CONTEXTS[0]] * count, noise_for(count, 1))
    logits = model(torch.tensor([CONTEXTS[0]])).logits[0, -1]
    probable = torch.softmax(logits, -1)
    found = torch.bincount(torch.tensor([turn.ids[0] for turn in turns]), minlength=len(logits))
    # The standard error of a share p of n is sqrt(p (1 - p) / n); five of them are generous.
    error = (probable * (1 - probable) / count).sqrt()
    assert bool(((found / count - probable).abs() <= 5 * error + 1 / count).all())
    assert (found > 40).sum() > 5  # the model spreads over several tokens


def test_a_colder_policy_is_less_surprised_by_what_it_writes():
    model, noise = tiny_model(), noise_for(6)
    means = []
    for temperature in (0.2, 1.0, 2.0):
        turns = sampler_of(model, temperature=temperature).sample(CONTEXTS, noise)
        means.append(sum(sum(turn.log_probs) for turn in turns) / sum(len(t.ids) for t in turns))
    assert means[0] > means[1] > means[2]


def test_a_models_own_generation_config_changes_no_bit(tmp_path):
    plain = sampler_of(tiny_model()).sample(CONTEXTS, noise_for(6))
    policy = tiny_policy()
    sampled = sorted({token for turn in plain for token in turn.ids} - {END})
    policy.model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=0.01,
        top_k=1,
        top_p=0.33,
        repetition_penalty=5.0,
        suppress_tokens=sampled,  # every token that was sampled but the end
        eos_token_id=END,
    )
    loaded = load_policy(save_policy(policy, tmp_path)).model
    assert (loaded.generation_config.top_k, loaded.generation_config.temperature) == (1, 0.01)
    write_norms_by_hand(loaded)
    assert sampler_of(loaded).sample(CONTEXTS, noise_for(6)) == plain


def test_a_context_that_leaves_no_room_for_the_turn_is_refused():
    model = tiny_model()  # of 96 positions
    sampler = sampler_of(model, tokens=12)
    with refused("context-too-long", "85 tokens", "12 new ones", "96 positions"):
        sampler.sample([[5], [5] * 85], noise_for(2))
    assert len(sampler.sample([[5], [5] * 84], noise_for(2))) == 2


def test_sampling_leaves_the_model_in_the_mode_that_it_was_in():
    model = tiny_model()
    for training in (True, False):
        model.train(training)
        sampler_of(model).sample(CONTEXTS, noise_for(6))
        assert model.training is training


def test_sampling_drops_nothing_out_while_the_model_trains():
    model, noise = tiny_model(), noise_for(6)
    expected = sampler_of(model).sample(CONTEXTS, noise)
    for layer in model.modules():
        if hasattr(layer, "attention_dropout"):
            layer.attention_dropout = 0.5
    model.train()
    assert sampler_of(model).sample(CONTEXTS, noise) == expected


def test_sampling_sees_the_weights_as_they_are_now():
    model, noise = tiny_model(seed=0), noise_for(6)
    sampler = sampler_of(model)
    before = sampler.sample(CONTEXTS, noise)
    model.load_state_dict(tiny_model(seed=1).state_dict())
    expected = sampler_of(tiny_model(seed=1)).sample(CONTEXTS, noise)
    assert sampler.sample(CONTEXTS, noise) == expected
    assert before != expected


def test_a_model_with_non_finite_weights_is_refused():
    model = tiny_model()
    model.base_model.norm.weight.data[0] = float("nan")
    with pytest.raises(FloatingPointError, match="logits"):
        sampler_of(model).sample(CONTEXTS, noise_for(6))


def test_the_same_call_gives_the_same_bytes():
    sampler, noise = sampler_of(ending_model(0.2)), noise_for(24)
    assert sampler.sample(CONTEXTS * 4, noise) == sampler.sample(CONTEXTS * 4, noise)


def test_weights_can_still_learn_after_sampling():
    model = tiny_model().train()
    sampler_of(model).sample(CONTEXTS, noise_for(6))
    model(torch.tensor([CONTEXTS[0]])).logits.logsumexp(-1).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert model.config._attn_implementation == "sdpa"
