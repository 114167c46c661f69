"""One switch turns all kernels off, and the numbers stay."""

import torch

from tasks.model.kernels.cpu import ONE_TOKEN, one_token_attention
from tasks.model.kernels.norms import leave_norms_to_the_model, write_norms_by_hand
from tasks.model.kernels.switch import kernels_are_on, without_kernels
from tasks.model.kernels.unread_tokens import packing_of, reads_prefixes_once
from tasks.model.log_probs import chosen_logits, pad_right
from tests.support.tiny_models import tiny_model

BATCH = pad_right(
    [[5, 6, 7, 8, 9, 10, 11], [5, 6, 7, 8, 9, 20, 21, 22]],
    [[False] * 5 + [True] * 2, [False] * 5 + [True] * 3],
    pad_id=0,
)


def plain_model():
    model = tiny_model()
    leave_norms_to_the_model(model)
    return model


def used(model):
    """Return which kernels a model would use."""
    write_norms_by_hand(model)
    config = model.config.get_text_config(decoder=True)
    with one_token_attention(model):
        attention = config._attn_implementation == ONE_TOKEN
    return {
        "norms": "forward" in vars(model.model.norm),
        "attention": attention,
        "prefixes": reads_prefixes_once(model, 8),
        "packing": packing_of(model, BATCH.ids_BS[:, :-1], BATCH.lengths_read, BATCH.runs)
        is not None,
    }


def tokens_of_the_last_mlp(model):
    """Return how many tokens the last layer's MLP reads of a batch."""
    seen = []
    handle = model.model.layers[-1].mlp.down_proj.register_forward_hook(
        lambda _module, inputs, _output: seen.append(inputs[0].shape[:-1].numel())
    )
    chosen_logits(model, BATCH)
    handle.remove()
    return seen[-1]


def test_all_kernels_are_on_and_one_switch_turns_them_off():
    assert BATCH.runs
    assert all(used(plain_model()).values())
    assert tokens_of_the_last_mlp(tiny_model()) == 5
    with without_kernels():
        assert not kernels_are_on()
        assert not any(used(plain_model()).values())
        # Two rows of seven tokens, padding included.
        assert tokens_of_the_last_mlp(plain_model()) == 14
    assert kernels_are_on()


def test_the_numbers_stay():
    fast = chosen_logits(tiny_model(), BATCH)
    with without_kernels():
        plain = chosen_logits(plain_model(), BATCH)
    torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-5)
