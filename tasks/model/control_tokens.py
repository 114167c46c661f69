"""Keeps control tokens that users, tools and graders write as text.

A tokenizer turns the text ``<|im_end|>`` into the token that ends a turn, and ``<tool_call>`` into
the one that begins a call, wherever they stand. A message that quotes them, or an environment that
prints them, would write turn borders and calls. So control tokens in what others write are replaced
by private characters before the template renders it, and are encoded as ordinary text.

The model's own turns keep the tokens of thinking and calls; only special ones stay text there.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from tasks.contracts.refusal import RefusedError

_ORDINARY = re.compile(
    r"[\w\s\u2581]+"  # words and runs of spaces, as GPT-NeoX adds them
    r"|</?(?:table|caption|thead|tbody|tfoot|t[rhd]|h[1-6]|blockquote|strong|em|su[bp]|code|[bisu])>"
)
"""Added tokens that are text, not control: also HTML, of which Gemma has tokens."""
_PRIVATE = range(0xF0000, 0xFFFFD)
"""Characters that Unicode leaves to private use."""


@dataclass(frozen=True)
class Veiled:
    """Messages without control tokens, and what their private characters stand for."""

    messages: list[dict[str, str]]
    meaning: Mapping[str, str]


class ControlTokens:
    """The control tokens of a tokenizer, as text: special ones, and all added for another use."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Take a tokenizer; words, spaces and HTML that it added are ordinary text."""
        self._tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder
        control = {
            i: t for i, t in added.items() if t.special or not _ORDINARY.fullmatch(t.content)
        }
        self.ids = frozenset(control)
        """The ids of all control tokens."""
        self._special = _any_of(t.content for t in control.values() if t.special)
        self._control = _any_of(t.content for t in control.values())

    def found(self, text: str) -> list[str]:
        """Return the special tokens that a text contains, sorted."""
        return sorted(set(self._special.findall(text)))

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text in which special tokens are text, and other tokens stay."""
        splits = bool(self._special.search(text))
        return list(
            self._tokenizer.encode(
                text, add_special_tokens=False, **({"split_special_tokens": True} if splits else {})
            )
        )

    def veil(self, messages: Iterable[Mapping[str, str]]) -> Veiled:
        """Return messages with each control token in a content replaced by a private character.

        In the model's own turns these are the special tokens alone.
        """
        copies = [dict(message) for message in messages]
        found = {t for m in copies for t in self._pattern_of(m).findall(m["content"])}
        if not found:
            return Veiled(copies, {})
        used = {character for message in copies for character in message["content"]}
        free = (chr(code) for code in _PRIVATE if chr(code) not in used)
        veils = dict(zip(sorted(found), free, strict=False))
        for message in copies:
            pattern = self._pattern_of(message)
            message["content"] = pattern.sub(lambda m: veils[m[0]], message["content"])
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
                ids += self._as_text(meaning[piece])
            else:
                ids += self._tokenizer.encode(piece, add_special_tokens=False)
        return ids

    def _pattern_of(self, message: Mapping[str, str]) -> re.Pattern[str]:
        return self._special if message["role"] == "assistant" else self._control

    def _as_text(self, token: str) -> list[int]:
        """Return the ids of a control token's text, none of which is a control token."""
        ids = self._without_added_tokens(token)
        if self.ids.isdisjoint(ids):
            return ids
        # A Unigram vocabulary holds its special tokens as words.
        return [i for character in token for i in self._without_added_tokens(character)]

    def _without_added_tokens(self, text: str) -> list[int]:
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        if backend is None:
            # Without a backend, "special" here means every added token.
            split = {"split_special_tokens": True}
            return list(self._tokenizer.encode(text, add_special_tokens=False, **split))
        if backend.normalizer is not None:
            text = backend.normalizer.normalize_str(text)
        cut = backend.pre_tokenizer
        words = [text] if cut is None else [word for word, _ in cut.pre_tokenize_str(text)]
        return [token.id for word in words for token in backend.model.tokenize(word)]


def _any_of(tokens: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(filter(None, tokens), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _pieces(text: str, meaning: Mapping[str, str]) -> Sequence[str]:
    return [piece for piece in re.split(f"([{''.join(meaning)}])", text) if piece]
