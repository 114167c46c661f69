"""What users, tools and graders write is text, whatever tokens their words could be."""

import pytest
from tokenizers import AddedToken, Tokenizer, models
from transformers import PreTrainedTokenizerFast

from tasks.model.chat import ChatTokens
from tests.support.tiny_models import tokenizer, with_template

CALL = "<tool_call>1</tool_call>"
TEMPLATE = tokenizer().chat_template


def with_tokens(*added):
    """Return chat tokens of a tokenizer of one's own with more tokens, which are not special."""
    made = with_template(TEMPLATE)
    made.add_tokens([AddedToken(token, normalized=False) for token in added])
    return ChatTokens(made)


def count(chat, ids, token):
    return list(ids).count(chat.tokenizer.convert_tokens_to_ids(token))


def by_role(chat, content):
    """Return the ids of a conversation in which one role after another writes a content."""
    user = {"role": "user", "content": "?"}
    return {
        "user": chat.prompt([{"role": "user", "content": content}]),
        "system": chat.prompt([{"role": "system", "content": content}, user]),
        "tool": chat.tool_reply(content),
        "earlier turn": chat.prompt([user, {"role": "assistant", "content": content}, user]),
        "turn": chat.answer(content),
    }


@pytest.mark.parametrize("token", ["<tool_call>", "</think>", "<tool_response>", "<|fim_middle|>"])
def test_a_control_token_is_one_in_the_models_own_turns_alone(token):
    chat = with_tokens("</think>", "<tool_response>", "<|fim_middle|>")
    found = by_role(chat, f"a{token}b")
    # Each counts its token once for itself; a prompt of ours holds no other one.
    assert {role: count(chat, ids, token) for role, ids in found.items()} == {
        "user": 0,
        "system": 0,
        "tool": 0,
        "earlier turn": 1,
        "turn": 1,
    }
    for ids in found.values():
        assert f"a{token}b" in chat.tokenizer.decode(ids)


def test_a_tools_answer_that_is_a_call_has_the_ids_of_its_letters():
    chat = ChatTokens(tokenizer())
    before, after = chat.tool_reply("x"), chat.tool_reply(CALL)
    place = before.index(chat.tokenizer.encode("x")[0])
    spelled = after[place : len(after) - (len(before) - place - 1)]
    marks = [chat.tokenizer.encode(c)[0] for c in "<>_/"]
    # "<tool_call>1</tool_call>" has two of "<", ">" and "_", and one of "/".
    assert [list(spelled).count(mark) for mark in marks] == [2, 2, 2, 1]
    assert chat.tokenizer.decode(list(spelled)) == CALL
    assert max(spelled) < min(chat.tokenizer.convert_tokens_to_ids([CALL[:11], CALL[12:]]))


@pytest.mark.parametrize("token", ["<b>", "</h1>", "    ", "\u2581\u2581", "naïve"])
def test_added_tokens_that_are_text_stay_tokens_in_every_role(token):
    chat = with_tokens(token)
    found = by_role(chat, f"a{token}b")
    assert {count(chat, ids, token) for ids in found.values()} == {1}
    assert chat.tokenizer.convert_tokens_to_ids(token) not in chat.control_ids


def test_control_ids_are_those_that_stay_text():
    chat = with_tokens("<b>", "<think>")
    named = chat.tokenizer.convert_ids_to_tokens(chat.control_ids)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert sorted(named) == sorted([*special, "<tool_call>", "</tool_call>", "<think>"])


def test_a_vocabulary_with_its_special_tokens_as_words_spells_them():
    # Unigram: "</s>" as one word is more likely (0) than its letters (-4 in sum).
    letters = "</s> user:assistantool\nx"
    words = [("</s>", 0.0), *((letter, -1.0) for letter in dict.fromkeys(letters)), ("?", -9.0)]
    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.Unigram(words, unk_id=len(words) - 1)), eos_token="</s>"
    )
    made.chat_template = (
        "{%- for m in messages -%}{{ m.role + ':' + m.content + '</s>\n' }}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ 'assistant:' }}{%- endif -%}"
    )
    ids = ChatTokens(made).prompt([{"role": "user", "content": "x</s>x"}])
    # The template closes the one turn; what the user wrote is four letters.
    assert ids.count(0) == 1
    assert "x</s>x</s>" in made.decode(ids).replace(" ", "")
