"""Equal digests of a tokenizer or template mean equal tokens."""

import pytest

from tasks.model.identity import (
    template_digest,
    tokenizer_differences,
    tokenizer_digest,
)
from tasks.sft.scratch import make_tokenizer
from tests.support.tiny_models import tokenizer, with_template

TEMPLATE = tokenizer().chat_template


def test_the_same_tokenizer_made_twice_has_the_same_digest():
    assert tokenizer_digest(with_template(TEMPLATE)) == tokenizer_digest(tokenizer())


def test_a_saved_tokenizer_keeps_its_digest(tmp_path):
    from tasks.model.files import load_tokenizer

    tokenizer().save_pretrained(tmp_path)
    assert tokenizer_digest(load_tokenizer(tmp_path)) == tokenizer_digest(tokenizer())


def test_a_call_that_pads_and_truncates_leaves_the_digest_as_it_was():
    used = with_template(TEMPLATE)
    used(["fox", "fox owl"], padding=True, truncation=True, max_length=2)
    assert tokenizer_digest(used) == tokenizer_digest(tokenizer())


def test_tokenizers_of_one_size_and_other_words_differ():
    # Both learn words until 280 tokens are full, so the size tells nothing.
    other = make_tokenizer(["hen cow 12+34=46 tutor pupil systematic toolbox\n"] * 9, 280)
    assert len(other) == len(tokenizer()) == 280
    assert tokenizer_digest(other) != tokenizer_digest(tokenizer())


@pytest.mark.parametrize("name", ["eos_token", "pad_token", "bos_token"])
def test_another_special_token_is_another_tokenizer(name):
    other = with_template(TEMPLATE)
    setattr(other, name, "<|im_start|>")
    assert tokenizer_digest(other) != tokenizer_digest(tokenizer())


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("bos_token", {}),
        ("eos_token", {"bos_token": "<|im_end|>"}),
        ("pad_token", {"bos_token": "<|endoftext|>"}),
    ],
)
def test_a_role_that_goes_to_another_special_token_makes_another_tokenizer(name, roles):
    # Before and after, the special tokens are the same two; only their roles differ.
    before, after = with_template(TEMPLATE), with_template(TEMPLATE)
    for role, token in roles.items():
        setattr(before, role, token)
        setattr(after, role, token)
    setattr(after, name, "<|endoftext|>" if name == "eos_token" else "<|im_end|>")
    assert sorted(before.all_special_tokens) == sorted(after.all_special_tokens)
    assert tokenizer_digest(before) != tokenizer_digest(after)


def test_the_template_has_a_digest_of_its_own():
    other = with_template(TEMPLATE + " ")
    assert tokenizer_digest(other) == tokenizer_digest(tokenizer())
    assert template_digest(other) != template_digest(tokenizer())


def test_the_digest_of_a_template_is_that_of_its_text():
    # printf '' | sha256sum
    empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert template_digest(with_template(None)) == empty
    # printf 'abc' | sha256sum
    abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert template_digest(with_template("abc")) == abc


def test_tokenizers_that_cut_a_text_differently_differ():
    from tokenizers import pre_tokenizers

    other = with_template(TEMPLATE)
    other.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=True, use_regex=True
    )
    assert other.encode("fox") != tokenizer().encode("fox")
    assert tokenizer_digest(other) != tokenizer_digest(tokenizer())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pad_token": "<|im_start|>"}, []),
        ({"eos_token": "<|endoftext|>"}, ["the eos_token, '<|im_end|>' and '<|endoftext|>'"]),
        ({"bos_token": "<|im_start|>"}, ["the bos_token, None and '<|im_start|>'"]),
    ],
    ids=["pad", "end", "beginning"],
)
def test_differences_are_named_and_padding_is_left_out(change, said):
    other = with_template(TEMPLATE)
    for name, token in change.items():
        setattr(other, name, token)
    assert tokenizer_differences(tokenizer(), other) == said


def test_another_word_is_named_with_its_id():
    other = make_tokenizer(["hen cow 12+34=46 tutor pupil systematic toolbox\n"] * 9, 280)
    (said,) = tokenizer_differences(tokenizer(), other)
    assert "tokens, such as" in said
