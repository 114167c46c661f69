"""The last MLP sees the wanted tokens alone, and nobody can tell from the numbers."""

import pytest
import torch
from transformers import AutoModelForCausalLM, BloomConfig, GptOssConfig, Qwen3MoeConfig

from tasks.model.architecture import checkpointed
from tasks.model.kernels.unread_tokens import last_mlp_only_at
from tasks.model.log_probs import chosen_hidden, pad_right
from tests.support.hidden_states import SMALL, gradients, plain_hidden
from tests.support.tiny_models import tiny_model

SIZES = SMALL | {"num_local_experts": 4, "eos_token_id": 0, "bos_token_id": 0}
CONFIGS = [Qwen3MoeConfig(**SIZES), GptOssConfig(**SIZES), BloomConfig(**SIZES)]
BATCH = pad_right(
    [[5, 6, 7, 8, 9], [1, 2, 3]],
    [[False, False, False, True, True], [False, False, True]],
    pad_id=0,
)


@pytest.mark.parametrize(
    "make",
    [tiny_model]
    + [lambda config=config: AutoModelForCausalLM.from_config(config).eval() for config in CONFIGS],
    ids=["dense", "experts", "experts with scores", "an mlp that adds the residual"],
)
def test_hidden_states_and_gradients_are_those_of_the_whole_layer(make):
    torch.manual_seed(0)
    model = make()
    own_ND, whole_ND = chosen_hidden(model, BATCH), plain_hidden(model, BATCH)
    torch.testing.assert_close(own_ND, whole_ND)
    own, whole = gradients(model, own_ND), gradients(model, whole_ND)
    assert own.keys() == whole.keys()
    for name in whole:
        torch.testing.assert_close(own[name], whole[name], msg=name)


def test_the_last_mlp_sees_three_tokens_and_the_first_all_but_the_last_of_each_row():
    model, seen = tiny_model(), []
    chosen_hidden(model, BATCH)  # the first pass over a model also tries what it can do
    for layer in model.model.layers:
        layer.mlp.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
        layer.mlp.gate_proj.register_forward_pre_hook(
            lambda _, inputs: seen.append(tuple(inputs[0].shape))
        )
    chosen_hidden(model, BATCH)
    # Four tokens of the first row and two of the second.
    assert seen == [(1, 6, 16), (1, 6, 16), (1, 6, 16), (1, 3, 16)]


def test_an_activation_that_is_computed_again_in_backward_is_the_same():
    model, seen = tiny_model(), []
    kept = gradients(model, chosen_hidden(model, BATCH))
    model.model.layers[-1].mlp.gate_proj.register_forward_pre_hook(
        lambda _, inputs: seen.append(tuple(inputs[0].shape))
    )
    with checkpointed(model):
        again = gradients(model, chosen_hidden(model, BATCH))
    assert seen == [(1, 3, 16), (1, 3, 16)]
    assert all(torch.equal(again[name], kept[name]) for name in kept)


def test_the_model_is_as_it_was_afterwards_also_when_it_fails():
    model = tiny_model()
    with pytest.raises(IndexError), last_mlp_only_at(model, torch.tensor([99])):
        model(BATCH.ids_BS)
    torch.testing.assert_close(plain_hidden(model, BATCH), chosen_hidden(model, BATCH))
    assert all("forward" not in vars(layer.mlp) for layer in model.model.layers)
