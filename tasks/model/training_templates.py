"""Chat templates of our own, for families with one that cannot play several turns.

Qwen3's template removes earlier reasoning, so a rollout of several turns would differ from the
sampled tokens. Gemma's has neither a system role nor a tool role. A model is brought in with one of
these instead, if it renders every conversation that the family's template takes to the same text.
The family's own text stays inside, for callers that pass tools.
"""

import copy
from collections.abc import Mapping

from transformers import PreTrainedTokenizerBase

from tasks.contracts.refusal import RefusedError
from tasks.model.chat import ChatTokens
from tasks.model.rendering import TemplateError, render

QWEN3 = """\
{%- for message in messages -%}
{%- if message.role == 'tool' -%}
{%- if loop.first or loop.previtem.role != 'tool' -%}{{ '<|im_start|>user' }}{%- endif -%}
{{ '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
{%- if loop.last or loop.nextitem.role != 'tool' -%}{{ '<|im_end|>\\n' }}{%- endif -%}
{%- else -%}
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false -%}
{{ '<think>\\n\\n</think>\\n\\n' }}
{%- endif -%}
{%- endif -%}
"""
GEMMA = """\
{{ bos_token }}
{%- set shown = namespace(system='') -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}
{%- set shown.system = shown.system + message.content + '\\n\\n' -%}
{%- else -%}
{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else 'user') + '\\n' }}
{{- shown.system + (message.content | trim) + '<end_of_turn>\\n' }}
{%- set shown.system = '' -%}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}
"""
OURS = {"qwen3": QWEN3, "gemma": GEMMA}
_OPENING = "{%- if tools %}"

_SYSTEM = {"role": "system", "content": "Be brief."}
_USER = {"role": "user", "content": "  Add 12 and 34.\n"}
_ANSWER = {"role": "assistant", "content": "46"}
_CONVERSATIONS = (
    [_USER],
    [_SYSTEM, _USER],
    [_USER, _ANSWER, _USER],
    [_SYSTEM, *[_USER, _ANSWER] * 2, _USER],
)
_CALLS: tuple[Mapping[str, bool], ...] = ({}, {"enable_thinking": True}, {"enable_thinking": False})


def replace_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """Give a tokenizer a template of ours if its own cannot play several turns, in place.

    Returns:
        The name of ours; "" if the tokenizer keeps its own, because it can, or because none of ours
        gives the same text.
    """
    if not tokenizer.chat_template or _plays(tokenizer):
        return ""
    own = str(tokenizer.get_chat_template())
    for name, ours in OURS.items():
        tried = copy.deepcopy(tokenizer)
        tried.chat_template = f"{_OPENING}{own}{_behind_own(ours)}"
        if _is_the_same(tokenizer, tried) and _plays(tried):
            tokenizer.chat_template = tried.chat_template
            return name
    return ""


def template_of_ours(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the name of the template of ours that a tokenizer has; "" if it has another one."""
    text = str(tokenizer.chat_template or "")
    for name, ours in OURS.items():
        if text.startswith(_OPENING) and text.endswith(_behind_own(ours)):
            return name
    return ""


def _behind_own(ours: str) -> str:
    return f"{{%- else %}}{ours}{{%- endif %}}"


def _plays(tokenizer: PreTrainedTokenizerBase) -> bool:
    try:
        chat = ChatTokens(tokenizer)
        chat.prompt([_SYSTEM, _USER])
        chat.refuse_without_tools()
    except (RefusedError, TemplateError):
        return False
    return True


def _is_the_same(own: PreTrainedTokenizerBase, ours: PreTrainedTokenizerBase) -> bool:
    """Say whether ours gives the text of the family's wherever that renders at all."""
    compared = 0
    for conversation in _CONVERSATIONS:
        for call in _CALLS:
            expected = _text(own, conversation, call)
            if expected is None:
                continue
            compared += 1
            if _text(ours, conversation, call) != expected:
                return False
    return compared > 0


def _text(
    tokenizer: PreTrainedTokenizerBase, said: list[dict[str, str]], call: Mapping[str, bool]
) -> str | None:
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    called: dict[str, bool | str] = {**special, "add_generation_prompt": True, **call}
    try:
        return render(str(tokenizer.get_chat_template()), said, called, whose="this tokenizer")
    except TemplateError:
        return None
