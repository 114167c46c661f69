"""Chat messages to token ids and back: the one place where a template meets a tokenizer.

Training on demonstrations, sampling and scoring all go through here, so that the same episode has
the same tokens in each of them. Episodes grow turn by turn as tokens: sampled tokens are kept,
never decoded and encoded again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from transformers import PreTrainedTokenizerBase

from tasks.contracts.refusal import RefusedError
from tasks.model.rendering import render

_PROBE = "provost"


@dataclass(frozen=True)
class Tokens:
    """Token ids of an episode, with a mask of those that the model wrote and learns from."""

    ids: tuple[int, ...]
    is_response: tuple[bool, ...]


class ChatTokens:
    """Turns messages into tokens with the model's own chat template."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Check once that the template can be extended turn by turn.

        Raises:
            ValueError: without a template or end token, or if a later turn changes the rendering of
                an earlier one; TemplateError if the template raises, or exceeds its time or memory.
        """
        if not tokenizer.chat_template:
            raise RefusedError(
                "no-chat-template",
                "the tokenizer has no chat template, so prompts cannot be rendered: set "
                "tokenizer.chat_template and save the folder again",
            )
        if tokenizer.eos_token_id is None:
            raise RefusedError(
                "no-end-token",
                "the tokenizer has no end-of-sequence token, so no turn could end: set "
                "tokenizer.eos_token and save the folder again",
            )
        self.tokenizer = tokenizer
        self._template = str(tokenizer.get_chat_template())
        self.end_id: int = tokenizer.eos_token_id
        self.pad_id: int = self.end_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self._cut = self._cut_after_assistant()
        self.tool_reply = lru_cache(maxsize=4096)(self._tool_reply)

    @property
    def control_ids(self) -> list[int]:
        """Ids that control an episode instead of being text: end of turn, thinking, tool calls."""
        return sorted({*self.tokenizer.added_tokens_decoder, self.end_id, self.pad_id})

    def prompt(self, messages: Sequence[Mapping[str, str]], mode: str = "") -> list[int]:
        """Return the ids of the messages, up to where the model's first turn starts.

        ``mode`` sets the template's arguments; see ``template_call``.
        """
        return self._encode(self._render(messages, mode, starts_turn=True))

    def answer(self, text: str) -> list[int]:
        """Return the ids of a demonstrated model turn, with its end token."""
        return [*self._encode(text), self.end_id]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of one model turn, without end and padding tokens."""
        kept = [token for token in ids if token not in (self.end_id, self.pad_id)]
        return str(self.tokenizer.decode(kept, skip_special_tokens=False))

    def demonstration(
        self,
        messages: Sequence[Mapping[str, str]],
        turns: Sequence[tuple[str, str]],
        mode: str = "",
    ) -> Tokens:
        """Return the tokens of a worked example; ``turns`` are (role, content) after the prompt."""
        ids = self.prompt(messages, mode)
        is_response = [False] * len(ids)
        for role, content in turns:
            added = self.answer(content) if role == "assistant" else list(self.tool_reply(content))
            ids += added
            is_response += [role == "assistant"] * len(added)
        return Tokens(tuple(ids), tuple(is_response))

    def _tool_reply(self, content: str) -> tuple[int, ...]:
        """Return the ids between the end of a model turn and the start of the next.

        They hold the environment's answer as the template renders it; the model does not learn
        from them.
        """
        grown = self._render(
            [*_ASKED, _message("assistant", _PROBE), _message("tool", content)], starts_turn=True
        )
        if not grown.startswith(self._cut):
            raise RefusedError(
                "changing-template",
                "the chat template renders earlier turns differently after a tool's answer, so a "
                "multi-turn rollout would differ from the sampled tokens: use a template that "
                "only appends (for example, one that keeps earlier reasoning)",
            )
        return tuple(self._encode(grown[len(self._cut) :]))

    def _cut_after_assistant(self) -> str:
        """Return the rendering of a probe chat, cut right after the model turn's end token."""
        text = self._render([*_ASKED, _message("assistant", _PROBE)], starts_turn=False)
        end = str(self.tokenizer.eos_token)
        place = text.find(end, text.rfind(_PROBE))
        if place < 0 or _PROBE not in text:
            raise RefusedError(
                "unclosed-turn",
                f"the chat template does not close the model's turn with {end!r}, so sampling "
                "would never stop there: set eos_token to the token that ends a turn",
            )
        return text[: place + len(end)]

    def _render(
        self, messages: Sequence[Mapping[str, str]], mode: str = "", *, starts_turn: bool
    ) -> str:
        special = {name: str(token) for name, token in self.tokenizer.special_tokens_map.items()}
        called = {**special, "add_generation_prompt": starts_turn, **template_call(mode)}
        whose = str(self.tokenizer.name_or_path) or "this tokenizer"
        return render(self._template, messages, called, whose=whose)

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))


def template_call(mode: str) -> dict[str, bool | str]:
    """Return the arguments of a chat template for a mode.

    "on" and "off" set ``enable_thinking``, as in Qwen's and other templates; any other word is a
    ``reasoning_effort``, as in gpt-oss; "" leaves it to the template.
    """
    if not mode:
        return {}
    if mode in ("on", "off"):
        return {"enable_thinking": mode == "on"}
    return {"reasoning_effort": mode}


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


_ASKED = (_message("user", _PROBE),)
