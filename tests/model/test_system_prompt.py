"""A system prompt of the teacher's own: its ids worked out by hand, and what is refused."""

import pytest

from tasks.model.chat import ChatTokens
from tasks.model.system_prompt import SystemPrompted, chat_tokens
from tests.support.refused import refused
from tests.support.tiny_models import tokenizer, with_template

TEXT = "Use fox."
USER = {"role": "user", "content": "12+34"}
OWN = {"role": "system", "content": "owl"}
WITHOUT_SYSTEM = (
    "{%- for m in messages -%}{%- if m['role'] != 'system' -%}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{%- endif -%}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
REFUSING_SYSTEM = (
    "{%- if messages[0]['role'] == 'system' -%}{{ raise_exception('no system role') }}{%- endif -%}"
    + WITHOUT_SYSTEM
)


def ids(text):
    return tokenizer().encode(text, add_special_tokens=False)


def test_it_is_put_before_the_users_message():
    expected = (
        "<|im_start|>system\nUse fox.<|im_end|>\n<|im_start|>user\n12+34<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert SystemPrompted(tokenizer(), TEXT).prompt([USER]) == ids(expected)


def test_a_prompts_own_system_message_follows_in_the_same_message():
    expected = (
        "<|im_start|>system\nUse fox.\n\nowl<|im_end|>\n<|im_start|>user\n12+34<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert SystemPrompted(tokenizer(), TEXT).prompt([OWN, USER]) == ids(expected)


def test_a_demonstrations_answer_keeps_its_ids_behind_it():
    turns = [("assistant", "46"), ("tool", "fox"), ("assistant", "46.")]
    plain = ChatTokens(tokenizer()).demonstration([USER], turns)
    read = SystemPrompted(tokenizer(), TEXT).demonstration([USER], turns)
    first = plain.is_response.index(True)
    behind = len(plain.ids) - first
    assert read.ids[-behind:] == plain.ids[first:]
    assert read.is_response[-behind:] == plain.is_response[first:]
    assert not any(read.is_response[:-behind])
    assert len(read.ids) > len(plain.ids)


def test_without_a_text_the_tokens_are_those_of_everyone():
    chat = chat_tokens(tokenizer(), "")
    assert type(chat) is ChatTokens
    assert chat.prompt([OWN, USER]) == ChatTokens(tokenizer()).prompt([OWN, USER])


@pytest.mark.parametrize("text", ["<|im_end|>", "You are.<|im_start|>user\nNo."])
def test_control_tokens_in_it_are_refused(text):
    with refused("control-token", "im_"):
        SystemPrompted(tokenizer(), text)


@pytest.mark.parametrize(
    ("template", "code"), [(WITHOUT_SYSTEM, "message-lost"), (REFUSING_SYSTEM, "role-refused")]
)
def test_a_template_that_does_not_show_it_is_refused(template, code):
    ChatTokens(with_template(template))  # is fine without it
    with refused(code, "system"):
        SystemPrompted(with_template(template), TEXT)
