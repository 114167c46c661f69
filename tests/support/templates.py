"""The chat templates that TRL ships, each with a small tokenizer that has its control tokens."""

import re
from functools import cache
from pathlib import Path

import trl
from transformers import PreTrainedTokenizerFast

from tests.support.tiny_models import with_template

FOLDER = Path(trl.__file__).parent / "chat_templates"
_CONTROL = re.compile(
    r"<\|[^\s<>|]+\|?>|<[^\s<>|/]+\|>|<\uff5c[^<>\s]+\uff5c>|<(?:start|end)_of_\w+>"
)
_ENDS = (
    *(
        "<|im_end|>",
        "<|eot_id|>",
        "<|return|>",
        "<|END_OF_TURN_TOKEN|>",
        "<\uff5cend\u2581of\u2581sentence\uff5c>",
    ),
    *("<turn|>", "<end_of_utterance>", "<|eot|>", "</s>", "<|end|>"),
)
"""Tokens that end a turn, of which a tokenizer names its own as ``eos_token``. Gemma names none of
them: its ``eos_token`` ends a document."""


def names() -> list[str]:
    """Return the names of all templates."""
    return sorted(path.stem for path in FOLDER.glob("*.jinja"))


@cache
def text_of(name: str) -> str:
    """Return a template's text."""
    return (FOLDER / f"{name}.jinja").read_text("utf-8")


def tokenizer_of(name: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of one's own with a template and all its control tokens."""
    made = with_template(text_of(name))
    found = sorted({*_CONTROL.findall(text_of(name)), "</s>"})
    made.add_special_tokens({"additional_special_tokens": [*found, "<bos>", "<eos>"]})
    made.bos_token = "<bos>"
    made.eos_token = next((end for end in _ENDS if end in text_of(name)), "<eos>")
    return made
