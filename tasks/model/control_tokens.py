"""Keeps control tokens that users, tools and graders write as text.

A tokenizer turns the text ``<|im_end|>`` into the token that ends a turn, wherever it stands. A
message that quotes it, or an environment that prints it, would write turn borders. So special
tokens in a message's content are replaced by characters of no use before the template renders it,
and what these stand for is encoded as ordinary text.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from tasks.contracts.refusal import RefusedError

_PRIVATE = range(0xF0000, 0xFFFFD)
"""Characters that Unicode leaves to private use."""


@dataclass(frozen=True)
class Veiled:
    """Messages without special tokens, and what their private characters stand for."""

    messages: list[dict[str, str]]
    meaning: Mapping[str, str]


class ControlTokens:
    """The special tokens of a tokenizer, as text."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Take a tokenizer; tokens that it added without calling them special stay tokens."""
        self._tokenizer = tokenizer
        special = [t.content for t in tokenizer.added_tokens_decoder.values() if t.special]
        longest_first = sorted(filter(None, special), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def found(self, text: str) -> list[str]:
        """Return the special tokens that a text contains, sorted."""
        return sorted(set(self._pattern.findall(text)))

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text in which special tokens are text."""
        splits = bool(self._pattern.search(text))
        return list(
            self._tokenizer.encode(
                text, add_special_tokens=False, **({"split_special_tokens": True} if splits else {})
            )
        )

    def veil(self, messages: Iterable[Mapping[str, str]]) -> Veiled:
        """Return messages with each special token in a content replaced by a private character."""
        copies = [dict(message) for message in messages]
        found = {t for m in copies for t in self._pattern.findall(m["content"])}
        if not found:
            return Veiled(copies, {})
        used = {character for message in copies for character in message["content"]}
        free = (chr(code) for code in _PRIVATE if chr(code) not in used)
        veils = dict(zip(sorted(found), free, strict=False))
        for message in copies:
            message["content"] = self._pattern.sub(lambda m: veils[m[0]], message["content"])
        return Veiled(copies, {veil: token for token, veil in veils.items()})

    def encode_rendered(self, text: str, meaning: Mapping[str, str]) -> list[int]:
        """Return the ids of what a template made of veiled messages.

        Raises:
            RefusedError: if the template lost a private character, and with it a part of a message.
        """
        if not meaning:
            return list(self._tokenizer.encode(text, add_special_tokens=False))
        if any(veil not in text for veil in meaning):
            raise RefusedError(
                "message-lost",
                f"the chat template drops or rewrites {sorted(meaning.values())} in a message: "
                "remove these control tokens from the prompt or the tool's answer",
            )
        ids: list[int] = []
        for piece in _pieces(text, meaning):
            if piece in meaning:
                ids += self.encode(meaning[piece])
            else:
                ids += self._tokenizer.encode(piece, add_special_tokens=False)
        return ids


def _pieces(text: str, meaning: Mapping[str, str]) -> Sequence[str]:
    return [piece for piece in re.split(f"([{''.join(meaning)}])", text) if piece]
