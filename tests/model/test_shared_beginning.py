"""What rows begin with is read once, and the numbers stay the same."""

import copy
import random

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen3MoeConfig

from tasks.model.architecture import checkpointed
from tasks.model.kernels import unread_tokens
from tasks.model.kernels.shared_prefixes import Packing, PrefixRun, shared_runs
from tasks.model.kernels.shared_prefixes import tokens_read as lengths_read
from tasks.model.kernels.unread_tokens import packing_of
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
    assert BATCH.runs == (PrefixRun(3, 3),)
    assert BATCH.to(torch.device("cpu")).runs == BATCH.runs
    assert pad_right(ROWS, [[False] * len(row) for row in ROWS], pad_id=0).runs == (
        PrefixRun(3, 4),
    )
    early = [[False, True, *flags[2:]] for flags in CHOSEN]
    assert pad_right(ROWS, early, pad_id=0).runs == ()


GROUPS = [[1, 2, 3, 6, 4], [1, 2, 3, 6, 5], [1, 2, 7, 8, 4, 9], [1, 2, 7, 8, 5], [1, 2, 7, 8, 6]]
"""Responses to two prompts of four tokens that begin with the same two."""
RESPONSES = [[False] * 4 + [True] * (len(row) - 4) for row in GROUPS]


def test_responses_to_a_prompt_form_a_run_of_their_own():
    # Each row shares up to 3 tokens: the fourth predicts a chosen one. Two runs save 1 x 3 and
    # 2 x 3 tokens; one run of all would save 4 x 2.
    assert pad_right(GROUPS, RESPONSES, pad_id=0).runs == (PrefixRun(2, 3), PrefixRun(3, 3))
    # A group of two in front of one alone: 1 x 3 apart, 2 x 2 together.
    assert pad_right(GROUPS[:3], RESPONSES[:3], pad_id=0).runs == (PrefixRun(3, 2),)


def test_runs_are_those_that_save_the_most_tokens():
    draw = random.Random(0)
    for _ in range(60):
        rows = [[draw.randrange(2) for _ in range(4)] for _ in range(draw.randrange(1, 7))]
        limits = [draw.randrange(5) for _ in rows]
        runs = shared_runs(torch.tensor(rows), limits)
        assert sum(run.num_saved for run in runs) == most_saved(rows, limits)
        first = 0
        for run in runs:
            inside = rows[first : first + run.num_rows]
            assert len({tuple(row[: run.num_shared]) for row in inside}) == 1
            assert run.num_shared <= min(limits[first : first + run.num_rows])
            first += run.num_rows
        assert first in (0, len(rows))


def most_saved(rows, limits):
    """Return the most tokens that any cut into runs saves, by trying all."""

    def saved(begin, end):
        columns = range(min(limits[begin:end]))
        alike = [len({row[at] for row in rows[begin:end]}) == 1 for at in columns]
        return (end - begin - 1) * sum(all(alike[: at + 1]) for at in columns)

    best = [0]
    for end in range(1, len(rows) + 1):
        best.append(max(best[begin] + saved(begin, end) for begin in range(end)))
    return best[-1]


def test_groups_of_responses_give_the_numbers_of_reading_all_rows_whole():
    model = tiny_model()
    batch = pad_right(GROUPS, RESPONSES, pad_id=0)
    packed_ND, plain_ND = chosen_hidden(model, batch), plain_hidden(model, batch)
    torch.testing.assert_close(packed_ND, plain_ND)
    packed, whole = gradients(model, packed_ND), gradients(model, plain_ND)
    for name in whole:
        torch.testing.assert_close(packed[name], whole[name], rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize(
    "make",
    [tiny_model, lambda: made(LlamaConfig), lambda: made(Qwen3MoeConfig)],
    ids=["dense with normed queries", "llama", "experts"],
)
def test_hidden_states_and_gradients_are_those_of_reading_all_rows_whole(make):
    model = make()
    # The last of 7, 6 and 7 tokens predicts nothing: 3 shared ones and 3, 2 and 3 own are read.
    assert tokens_read(model) == [11]
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
    ("lengths", "shared", "packed"),
    [
        ([20] * 10, 1, None),  # 9 of 200 tokens saved: less than a twentieth
        ([20] * 10, 2, 182),  # 18 of 200
        ([20], 20, None),  # a row alone shares nothing
        ([5] * 4, 5, 8),  # equal rows keep a token of their own: 4 + 4
        ([5, 3, 5], 4, 9),  # and so does a row that is shorter than what is shared: 2 + 3 + 1 + 3
        ([20] * 9 + [11], 0, None),  # 9 of 200 tokens are padding
        ([20] * 9 + [10], 0, 190),  # 10 of 200
    ],
)
def test_packing_is_worth_it_from_a_twentieth_of_all_tokens(lengths, shared, packed):
    ids = torch.ones(len(lengths), max(lengths), dtype=torch.long)
    runs = [PrefixRun(len(lengths), shared)] if shared else []
    found = packing_of(tiny_model(), ids, lengths, runs)
    assert (found and found.num_tokens) == packed
    # What plans count with is the same, but for own tokens that a run is said to share.
    if shared < min(lengths):
        read = lengths_read(ids.shape[1], lengths, runs)
        assert read == (packed or ids.numel())


WHOLE = [[1, 2, 3, 4, 5], [1, 2, 6, 7, 0]]


def test_a_packed_row_by_hand():
    packing = Packing(5, [5, 5], [PrefixRun(2, 2)])
    ids_1T, positions_1T = packing.pack(torch.tensor(WHOLE))
    assert ids_1T.tolist() == [[1, 2, 3, 4, 5, 6, 7, 0]]
    assert positions_1T.tolist() == [[0, 1, 2, 3, 4, 2, 3, 4]]
    # Column 2 of the first row, and the last of both.
    assert packing.places(torch.tensor([0, 0, 1]), torch.tensor([2, 4, 4])).tolist() == [2, 4, 7]
    assert unpacked(packing, ids_1T) == WHOLE


def test_a_packed_row_of_two_runs_by_hand():
    packing = Packing(3, [3, 3, 3], [PrefixRun(1, 0), PrefixRun(2, 2)])
    rows = [[1, 2, 3], [4, 5, 6], [4, 5, 7]]
    ids_1T, positions_1T = packing.pack(torch.tensor(rows))
    assert ids_1T.tolist() == [[1, 2, 3, 4, 5, 6, 7]]
    assert positions_1T.tolist() == [[0, 1, 2, 0, 1, 2, 2]]
    # The last column of each row.
    assert packing.places(torch.tensor([0, 1, 2]), torch.tensor([2, 2, 2])).tolist() == [2, 5, 6]
    assert unpacked(packing, ids_1T) == rows


def test_a_packed_row_without_padding_by_hand():
    # 9 is padding. The first two rows share a token, the last two none.
    rows = torch.tensor([[1, 2, 9, 9], [1, 3, 4, 5], [6, 9, 9, 9], [7, 8, 2, 9]])
    packing = Packing(4, [2, 4, 1, 3], [PrefixRun(2, 1), PrefixRun(1, 0), PrefixRun(1, 0)])
    ids_1T, positions_1T = packing.pack(rows)
    assert ids_1T.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8, 2]]
    assert positions_1T.tolist() == [[0, 1, 1, 2, 3, 0, 0, 1, 2]]
    assert packing.num_tokens == 9
    # The last token of each row.
    last = packing.places(torch.tensor([0, 1, 2, 3]), torch.tensor([1, 3, 0, 2]))
    assert last.tolist() == [1, 4, 5, 8]
    assert unpacked(packing, ids_1T) == [[1, 2, 0, 0], [1, 3, 4, 5], [6, 0, 0, 0], [7, 8, 2, 0]]


def unpacked(packing, ids_1T):
    """Return the sequences behind a packed row, which has to come out of them again."""
    whole = packing.whole(ids_1T[:, None, :, None])
    assert packing.packed(whole.transpose(1, 2))[0, :, 0, 0].tolist() == ids_1T[0].tolist()
    return whole[..., 0].squeeze(1).tolist()


def test_rows_of_all_lengths_give_the_numbers_of_reading_each_whole():
    draw, model = random.Random(1), tiny_model()
    for _ in range(12):
        rows = sorted(
            [draw.randrange(1, 4) for _ in range(draw.randrange(2, 12))] for _ in range(6)
        )
        chosen = [[False, *(draw.random() < 0.4 for _ in row[1:])] for row in rows]
        batch = pad_right(rows, chosen, pad_id=0)
        packed_ND, plain_ND = chosen_hidden(model, batch), plain_hidden(model, batch)
        torch.testing.assert_close(packed_ND, plain_ND, rtol=1e-4, atol=1e-5)
        packed, whole = gradients(model, packed_ND), gradients(model, plain_ND)
        for name in whole:
            torch.testing.assert_close(packed[name], whole[name], rtol=1e-4, atol=1e-5, msg=name)


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
