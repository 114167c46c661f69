"""What all rows begin with is read once, and nobody can tell from the numbers."""

import copy

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen3MoeConfig

from tasks.model.architecture import checkpointed
from tasks.model.kernels import unread_tokens
from tasks.model.kernels.unread_tokens import Packing, packing_of
from tasks.model.log_probs import TokenBatch, chosen_hidden, pad_right
from tests.support.hidden_states import SMALL, gradients, plain_hidden
from tests.support.tiny_models import tiny_model

ROWS = [[1, 2, 3, 6, 4, 5, 9], [1, 2, 3, 6, 7, 8], [1, 2, 3, 6, 4, 6, 9]]
# All rows begin with four tokens; the fourth predicts a chosen one and so is each row's own.
CHOSEN = [
    [False, False, False, False, True, False, True],
    [False, False, False, False, True, True],
    [False, False, False, False, False, True, True],
]
BATCH = pad_right(ROWS, CHOSEN, pad_id=0)


def made(config, **more):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config(**SMALL, **more)).eval()


def tokens_read(model):
    """Return how many tokens the first layer reads of the batch."""
    chosen_hidden(model, BATCH)  # the first pass over a model also tries what it can do
    seen = []
    norm = model.base_model.layers[0].input_layernorm
    norm.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[:2].numel()))
    chosen_hidden(model, BATCH)
    return seen


def test_the_common_beginning_of_rows_is_three_tokens():
    assert BATCH.num_shared == 3
    assert BATCH.to(torch.device("cpu")).num_shared == 3
    assert pad_right(ROWS, [[False] * len(row) for row in ROWS], pad_id=0).num_shared == 4
    early = [[False, True, *flags[2:]] for flags in CHOSEN]
    assert pad_right(ROWS, early, pad_id=0).num_shared == 0


@pytest.mark.parametrize(
    "make",
    [tiny_model, lambda: made(LlamaConfig), lambda: made(Qwen3MoeConfig)],
    ids=["dense with normed queries", "llama", "experts"],
)
def test_hidden_states_and_gradients_are_those_of_reading_all_rows_whole(make):
    model = make()
    # Of 3 rows of 6 columns (the seventh predicts nothing) 3 + 3 x 3 tokens are read.
    assert tokens_read(model) == [12]
    packed_ND, plain_ND = chosen_hidden(model, BATCH), plain_hidden(model, BATCH)
    torch.testing.assert_close(packed_ND, plain_ND)
    packed, whole = gradients(model, packed_ND), gradients(model, plain_ND)
    assert packed.keys() == whole.keys()
    for name in whole:
        torch.testing.assert_close(packed[name], whole[name], rtol=1e-4, atol=1e-5, msg=name)


def test_a_layer_that_is_computed_again_in_backward_is_packed_again():
    model = tiny_model()
    kept = gradients(model, chosen_hidden(model, BATCH))
    with checkpointed(model):
        again = gradients(model, chosen_hidden(model, BATCH))
    assert all(torch.equal(again[name], kept[name]) for name in kept)
    assert model.config._attn_implementation == "sdpa"


def test_rows_that_a_window_cuts_short_are_read_whole():
    # Mistral's window of 4 is less than the 6 columns.
    model = made(MistralConfig, sliding_window=4)
    assert tokens_read(model) == [18]


def test_a_model_that_sees_to_its_attention_itself_is_read_whole():
    model = tiny_model()
    for layer in model.model.layers:
        layer.self_attn.config = copy.copy(model.config)  # asks for sdpa, whatever it is told
    assert tokens_read(model) == [18]
    torch.testing.assert_close(chosen_hidden(model, BATCH), plain_hidden(model, BATCH))


def test_a_model_that_cannot_be_packed_is_read_whole(monkeypatch):
    # Positions counted through the packed row, as by a model that does not heed what it is told.
    whole = Packing.pack
    monkeypatch.setattr(
        Packing, "pack", lambda *of: (whole(*of)[0], torch.arange(whole(*of)[0].numel())[None])
    )
    model = tiny_model()
    assert tokens_read(model) == [18]
    torch.testing.assert_close(chosen_hidden(model, BATCH), plain_hidden(model, BATCH))


@pytest.mark.parametrize(
    ("rows", "columns", "shared", "packed"),
    [
        (10, 20, 1, None),  # 9 of 200 tokens saved: less than a twentieth
        (10, 20, 2, (10, 2, 18)),  # 18 of 200
        (1, 20, 20, None),  # a row alone shares nothing
        (4, 5, 5, (4, 4, 1)),  # equal rows keep a token of their own
    ],
)
def test_packing_is_worth_it_from_a_twentieth_of_all_tokens(rows, columns, shared, packed):
    found = packing_of(tiny_model(), torch.ones(rows, columns, dtype=torch.long), shared)
    sizes = found and (found.num_rows, found.num_shared, found.num_own)
    assert sizes == packed


def test_a_packed_row_by_hand():
    packing = Packing(num_rows=2, num_shared=2, num_own=3)
    ids_1T, positions_1T = packing.pack(torch.tensor([[1, 2, 3, 4, 5], [1, 2, 6, 7, 0]]))
    assert ids_1T.tolist() == [[1, 2, 3, 4, 5, 6, 7, 0]]
    assert positions_1T.tolist() == [[0, 1, 2, 3, 4, 2, 3, 4]]
    # Column 2 of the first row, and the last of both.
    assert packing.places(torch.tensor([0, 0, 1]), torch.tensor([2, 4, 4])).tolist() == [2, 4, 7]
    whole = packing.whole(ids_1T[:, None, :, None])
    assert whole[..., 0].squeeze(1).tolist() == [[1, 2, 3, 4, 5], [1, 2, 6, 7, 0]]
    assert packing.packed(whole.transpose(1, 2))[0, :, 0, 0].tolist() == ids_1T[0].tolist()


def test_a_model_is_tried_once_and_as_it_was_afterwards():
    model = tiny_model()
    tried = []
    hook = model.base_model.register_forward_hook(lambda *_: tried.append(1))
    batch = TokenBatch(BATCH.ids_BS, BATCH.rows_N, BATCH.columns_N)
    chosen_hidden(model, batch)
    chosen_hidden(model, batch)
    hook.remove()
    assert len(tried) == 2 + 1 + 1
    assert unread_tokens._KNOWN[model] is True
    assert "forward" not in vars(model.model.layers[0])
