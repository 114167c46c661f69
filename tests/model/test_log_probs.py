"""The logits of chosen tokens are those of the whole forward pass, whatever stands beside them."""

import math

import pytest
import torch
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    Qwen3ForCausalLM,
)

from tasks.model.log_probs import chosen_logits, pad_right, refuse_other_logits, token_log_probs
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model

ROWS = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14]]
CHOSEN = [[False, False, True, False, True], [False, True], [False, True, True]]
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}


@torch.no_grad()
def test_chosen_logits_are_the_whole_forward_pass_at_the_place_before_each_token():
    model = tiny_model()
    batch = pad_right(ROWS, CHOSEN, pad_id=0)
    # Row 0 chooses columns 2 and 4, so the logits at 1 and 3 predict them; row 1 that at 0; ...
    expected = []
    for ids, places in zip(ROWS, ([1, 3], [0], [0, 1]), strict=True):
        expected += [model(torch.tensor([ids])).logits[0, place] for place in places]
    torch.testing.assert_close(chosen_logits(model, batch), torch.stack(expected), **ROUNDING)


@torch.no_grad()
def test_what_a_row_is_padded_with_does_not_matter():
    model = tiny_model()
    logits = [chosen_logits(model, pad_right(ROWS, CHOSEN, pad_id=pad)) for pad in (0, 99)]
    assert torch.equal(*logits)


@torch.no_grad()
def test_rows_alone_and_rows_together_have_the_same_logits():
    model = tiny_model()
    together = chosen_logits(model, pad_right(ROWS, CHOSEN, pad_id=0))
    alone = [
        chosen_logits(model, pad_right([ids], [chosen], pad_id=0))
        for ids, chosen in zip(ROWS, CHOSEN, strict=True)
    ]
    torch.testing.assert_close(together, torch.cat(alone), **ROUNDING)


def test_chosen_tokens_are_listed_by_row_and_then_by_column():
    batch = pad_right(ROWS, CHOSEN, pad_id=0)
    assert batch.rows_N.tolist() == [0, 0, 1, 2, 2]
    assert batch.columns_N.tolist() == [2, 4, 1, 1, 2]
    assert batch.tokens_N.tolist() == [7, 9, 11, 13, 14]


def test_padding_is_on_the_right():
    batch = pad_right(ROWS, CHOSEN, pad_id=77)
    assert batch.ids_BS.tolist()[1:] == [[10, 11, 77, 77, 77], [12, 13, 14, 77, 77]]


def test_a_first_token_cannot_be_chosen():
    with refused("first-token"):
        pad_right([[5, 6], [7, 8]], [[False, True], [True, True]], pad_id=0)


@torch.no_grad()
def test_a_temperature_divides_the_logits():
    model, batch = tiny_model(), pad_right(ROWS, CHOSEN, pad_id=0)
    assert torch.equal(chosen_logits(model, batch, 0.5), chosen_logits(model, batch) * 2)


@torch.no_grad()
def test_a_batch_without_a_chosen_token_has_no_logits():
    batch = pad_right([[5, 6]], [[False, False]], pad_id=0)
    model = tiny_model()
    assert chosen_logits(model, batch).shape == (0, model.config.vocab_size)


@torch.no_grad()
def test_logits_of_a_half_precision_model_are_single_precision():
    batch = pad_right(ROWS, CHOSEN, pad_id=0)
    assert chosen_logits(tiny_model().bfloat16(), batch).dtype == torch.float32


def test_log_probabilities_are_those_of_the_tokens_that_were_chosen():
    logits = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)], [5.0, 5.0]])
    found = token_log_probs(logits, torch.tensor([0, 1, 0]))
    # exp(0) : exp(log 3) is 1 : 3, so 1/4 and 3/4; equal logits give 1/2.
    torch.testing.assert_close(found.exp(), torch.tensor([0.25, 0.75, 0.5]))


SMALL = {
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


ARCHITECTURES = pytest.mark.parametrize(
    ("architecture", "config"),
    [
        (Gemma2ForCausalLM, Gemma2Config(**SMALL, head_dim=8, final_logit_softcapping=0.05)),
        (GraniteForCausalLM, GraniteConfig(**SMALL, logits_scaling=8.0)),
        (CohereForCausalLM, CohereConfig(**SMALL, logit_scale=0.25)),
    ],
    ids=["caps softly", "divides", "multiplies"],
)


@ARCHITECTURES
@torch.no_grad()
def test_what_an_architecture_does_behind_its_head_is_done_here_too(architecture, config):
    torch.manual_seed(0)
    model, batch = architecture(config).eval(), pad_right([[4, 5, 6]], [[False, True, True]], 0)
    expected = model(batch.ids_BS).logits[0, :2]
    torch.testing.assert_close(chosen_logits(model, batch), expected, **ROUNDING)
    # The temperature comes last: a cap behind it would be another one.
    torch.testing.assert_close(chosen_logits(model, batch, 0.5), expected * 2, **ROUNDING)


@ARCHITECTURES
def test_an_architecture_with_known_logits_passes(architecture, config):
    refuse_other_logits(architecture(config))


class Doubling(Qwen3ForCausalLM):
    """An architecture that does to its logits what nobody here knows of."""

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.logits = output.logits * 2
        return output


@pytest.mark.parametrize("training", [True, False])
def test_an_architecture_with_unknown_logits_is_refused(training):
    refuse_other_logits(tiny_model())
    model = Doubling(tiny_model().config).train(training)
    with refused("unknown-logits", "Doubling"):
        refuse_other_logits(model)
    assert model.training is training


def test_attention_makes_no_plan_for_each_new_shape():
    assert not torch.backends.cuda.cudnn_sdp_enabled()
