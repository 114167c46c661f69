"""A model made on the spot: a tokenizer that writes any text, weights that follow the seed."""

import pytest
import torch

from tasks.model.chat import ChatTokens
from tasks.sft.scratch import make_tokenizer
from tests.support.refused import refused
from tests.support.tiny_models import SIZES, tiny_model, tokenizer

TEXTS = ["fox owl 12+34=46 system user assistant tool\n"] * 9


@pytest.mark.parametrize("text", ["12+34=46", "naïve 狐 🦊\n\t", "<tool_call>1</tool_call>", ""])
def test_any_text_comes_back_from_its_tokens(text):
    tokens = tokenizer()
    assert tokens.decode(tokens.encode(text)) == text


@pytest.mark.parametrize(("text", "count"), [("2026", 4), ("+-", 2), ("<tool_call>", 1)])
def test_digits_and_marks_are_single_tokens_and_so_is_a_call_mark(text, count):
    assert len(tokenizer().encode(text)) == count


def test_digits_are_single_tokens_however_often_they_meet():
    assert len(make_tokenizer(["2026 2026"] * 99, 280).encode("2026")) == 4


def test_marks_of_a_call_are_not_special_so_that_an_environment_sees_them():
    tokens, call = tokenizer(), "<tool_call>1</tool_call>"
    assert tokens.all_special_tokens == ["<|im_end|>", "<|endoftext|>"]
    assert tokens.decode(tokens.encode(call + "<|im_end|>"), skip_special_tokens=True) == call


def test_a_vocabulary_is_at_most_the_configured_size():
    # 256 bytes, three special tokens and two call marks are the least; words fill what is left.
    assert len(make_tokenizer(TEXTS, 264)) == 264
    assert len(make_tokenizer(TEXTS * 9, 270)) == 270


def test_a_model_has_the_configured_shape():
    config = tiny_model().config
    assert (config.hidden_size, config.num_hidden_layers) == (SIZES.hidden_size, SIZES.num_layers)
    assert (config.num_key_value_heads, config.head_dim) == (1, 8)
    assert config.vocab_size == len(tokenizer())
    assert (config.eos_token_id, config.pad_token_id) == (2, 0)


def test_the_output_head_is_the_embedding():
    model = tiny_model()
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_weights_follow_the_seed_and_nothing_else():
    first = tiny_model(seed=1).state_dict()
    torch.rand(3)  # another use of the global generator in between
    again, other = tiny_model(seed=1).state_dict(), tiny_model(seed=2).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    name = "model.embed_tokens.weight"
    assert not torch.equal(first[name], other[name])


def test_initial_weights_have_the_configured_deviation():
    wide = tiny_model(weight_deviation=0.6).model.embed_tokens.weight
    # 4,480 numbers of deviation 0.6: the sample's is within 5 % with near certainty.
    assert wide.std().item() == pytest.approx(0.6, rel=0.05)


def test_a_tokenizer_that_thinks_has_two_more_tokens_and_two_modes():
    thinking = make_tokenizer(TEXTS, 280, thinking=True)
    assert [len(thinking.encode(mark)) for mark in ("<think>", "</think>")] == [1, 1]
    assert len(tokenizer().encode("<think>")) > 1
    chat, plain = ChatTokens(thinking), ChatTokens(tokenizer())
    said = [{"role": "user", "content": "12+34"}]
    opened, closed = thinking.encode("<think></think>")
    assert chat.prompt(said, "off") == [*chat.prompt(said, "on"), opened, closed]
    assert chat.prompt(said, "on") == chat.prompt(said)
    chat.refuse_without_tools()
    with refused("idle-mode"):
        plain.prompt(said, "off")
