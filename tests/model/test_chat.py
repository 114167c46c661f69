"""Messages become the tokens that the template gives, and only the model's turns are learned."""

import pytest
from tokenizers.processors import TemplateProcessing

from tasks.model.chat import ChatTokens
from tests.support.refused import refused
from tests.support.tiny_models import tokenizer, with_template

ASKED = [{"role": "system", "content": "Use it."}, {"role": "user", "content": "12+34"}]
CALL = ("assistant", "<tool_call>12+34</tool_call>")
EPISODES = {
    "one turn": [("assistant", "46")],
    "a tool call": [CALL, ("tool", "46"), ("assistant", "46")],
    "two tool calls": [CALL, ("tool", "46"), CALL, ("tool", "error"), ("assistant", "46.")],
    "an empty answer": [("assistant", "")],
    "other alphabets": [("assistant", "naïve 狐 🦊"), ("tool", "é"), ("assistant", "½")],
}
# As Llama 3's: a start token, contents trimmed, another name for the tool's role.
TRIMMING = (
    "{{ '<|endoftext|>' }}{%- for m in messages -%}"
    "{{ '<|im_start|>' + ('ipython' if m['role'] == 'tool' else m['role']) + '\n\n' }}"
    "{{ m['content'] | trim + '<|im_end|>' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n\n' }}{%- endif -%}"
)
# As Qwen3's: the last answer gets an empty thought, which goes once a tool has answered.
REWRITING = (
    "{%- for m in messages -%}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{%- if m['role'] == 'assistant' and loop.last -%}{{ '<think>\n\n</think>\n\n' }}{%- endif -%}"
    "{{ m['content'] + '<|im_end|>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
OPEN_ENDED = (
    "{%- for m in messages -%}{{ m['role'] + ':' + m['content'] }}"
    "{%- if m['role'] != 'assistant' -%}{{ '<|im_end|>' }}{%- endif -%}{{ '\n' }}{%- endfor -%}"
)


@pytest.fixture
def chat():
    return ChatTokens(tokenizer())


def rendered(tokens, messages, turns):
    """Return the template's own text of the whole conversation."""
    said = [{"role": role, "content": content} for role, content in turns]
    return tokens.apply_chat_template([*messages, *said], tokenize=False)


@pytest.mark.parametrize("turns", EPISODES.values(), ids=EPISODES)
def test_prompt_and_turns_are_the_tokens_of_the_templates_own_rendering(chat, turns):
    whole = rendered(chat.tokenizer, ASKED, turns)
    # The template ends with a newline behind the last end token, which nobody writes.
    expected = chat.tokenizer.encode(whole.removesuffix("\n"), add_special_tokens=False)
    assert list(chat.demonstration(ASKED, turns).ids) == expected


@pytest.mark.parametrize("turns", EPISODES.values(), ids=EPISODES)
def test_only_the_models_words_and_end_tokens_are_responses(chat, turns):
    tokens = chat.demonstration(ASKED, turns)
    learned = [t for t, written in zip(tokens.ids, tokens.is_response, strict=True) if written]
    expected = "".join(content + "<|im_end|>" for role, content in turns if role == "assistant")
    assert chat.tokenizer.decode(learned) == expected


def test_a_prompt_ends_where_the_models_turn_starts(chat):
    text = chat.tokenizer.decode(chat.prompt(ASKED[1:]))
    assert text == "<|im_start|>user\n12+34<|im_end|>\n<|im_start|>assistant\n"


def test_a_tools_reply_reaches_from_the_end_of_one_turn_to_the_start_of_the_next(chat):
    text = chat.tokenizer.decode(chat.tool_reply("46"))
    assert text == "\n<|im_start|>tool\n46<|im_end|>\n<|im_start|>assistant\n"


def test_an_answer_is_its_text_and_one_end_token(chat):
    # Digits stand alone, so 46 is two tokens.
    four, six = chat.tokenizer.encode("4")[0], chat.tokenizer.encode("6")[0]
    assert chat.answer("46") == [four, six, chat.end_id]


def test_decoding_drops_end_and_padding_and_keeps_the_marks_of_a_call(chat):
    ids = [*chat.answer("<tool_call>1+2</tool_call>"), chat.pad_id, chat.pad_id]
    assert chat.decode(ids) == "<tool_call>1+2</tool_call>"


def test_decoding_keeps_special_tokens_that_the_model_had_no_business_to_write(chat):
    start = chat.tokenizer.convert_tokens_to_ids("<|im_start|>")
    assert chat.decode([*chat.answer("46")[:-1], start, chat.end_id]) == "46<|im_start|>"


def test_a_tokenizer_that_opens_every_text_with_a_token_does_not_do_so_in_mid_episode():
    tokens = with_template(tokenizer().chat_template)
    tokens.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", tokens.pad_token_id)]
    )
    assert tokens.encode("46")[0] == tokens.pad_token_id
    turns = EPISODES["a tool call"]
    opening = ChatTokens(tokens).demonstration(ASKED, turns)
    assert opening == ChatTokens(tokenizer()).demonstration(ASKED, turns)


def test_decoding_leaves_spaces_before_marks_alone(chat):
    assert chat.decode(chat.answer("fox , owl . isn 't")) == "fox , owl . isn 't"


def test_padding_without_a_token_of_its_own_uses_the_end_token():
    tokens = with_template(tokenizer().chat_template)
    tokens.pad_token = None
    assert ChatTokens(tokens).pad_id == tokens.eos_token_id


def test_a_template_that_trims_still_renders_prompts_and_replies_as_itself():
    chat = ChatTokens(with_template(TRIMMING))
    messages = [{"role": "user", "content": "  12+34 \n"}]
    turns = [("assistant", "x"), ("tool", " 46\n"), ("assistant", "46")]
    whole = rendered(chat.tokenizer, messages, turns)
    expected = chat.tokenizer.encode(whole, add_special_tokens=False)
    assert list(chat.demonstration(messages, turns).ids) == expected
    assert chat.tokenizer.decode(chat.tool_reply(" 46\n")) == (
        "<|im_start|>ipython\n\n46<|im_end|><|im_start|>assistant\n\n"
    )


def test_a_template_that_trims_does_not_trim_what_the_model_wrote():
    chat = ChatTokens(with_template(TRIMMING))
    tokens = chat.demonstration(ASKED, [("assistant", " x "), ("tool", "46"), ("assistant", "y")])
    learned = [t for t, written in zip(tokens.ids, tokens.is_response, strict=True) if written]
    assert chat.tokenizer.decode(learned) == " x <|im_end|>y<|im_end|>"


def test_a_template_that_rewrites_earlier_turns_is_refused_for_tool_use():
    chat = ChatTokens(with_template(REWRITING))
    with refused("changing-template"):
        chat.tool_reply("46")


def test_a_tokenizer_without_a_template_is_refused():
    with refused("no-chat-template", "tokenizer.chat_template"):
        ChatTokens(with_template(None))


def test_a_tokenizer_without_an_end_token_is_refused():
    tokens = with_template(tokenizer().chat_template)
    tokens.eos_token = None
    with refused("no-end-token", "tokenizer.eos_token"):
        ChatTokens(tokens)


def test_a_template_that_never_writes_the_end_token_is_refused():
    template = "{%- for m in messages -%}{{ m['role'] + ':' + m['content'] + '\n' }}{%- endfor -%}"
    with refused("unclosed-turn", "<|im_end|>"):
        ChatTokens(with_template(template))


def test_a_template_that_closes_every_turn_but_the_models_is_refused():
    with refused("unclosed-turn"):
        ChatTokens(with_template(OPEN_ENDED))
