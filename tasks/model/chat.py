"""Chat messages to token ids and back: the one place where a template meets a tokenizer.

Training on demonstrations, sampling and scoring all go through here, so that the same episode has
the same tokens in each of them. Episodes grow turn by turn as tokens: sampled tokens are kept,
never decoded and encoded again. What a template loses, rewrites or refuses is found with messages
that no prompt holds, before any prompt is used.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from tasks.contracts.refusal import RefusedError
from tasks.model.control_tokens import ControlTokens
from tasks.model.images import ImageReader, images_in, with_places
from tasks.model.rendering import PROMPT_DATE, TemplateError, render

_PROBE = "provost"
_OTHER_MODE = {"on": "off", "off": "on"}


@dataclass(frozen=True)
class Tokens:
    """Token ids of an episode, with a mask of those that the model wrote and learns from."""

    ids: tuple[int, ...]
    is_response: tuple[bool, ...]
    pixels: Tensor | None = field(default=None, compare=False, repr=False)
    """Pixels of the prompt's images; None without any."""


class ChatTokens:
    """Turns messages into tokens with the model's own chat template."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        ends: Collection[int] = (),
        images: ImageReader | None = None,
    ) -> None:
        """Check once that the template can be extended turn by turn.

        ``ends`` are the tokens that end a turn beside the template's and the tokenizer's own, as
        the model's generation config declares them. Without ``images``, a prompt with an image is
        refused.

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
        self.images = images
        """What makes tokens and pixels of images; None for a model that reads text alone."""
        self._template = str(tokenizer.get_chat_template())
        self._text = ControlTokens(tokenizer)
        self._kept_roles: set[tuple[str, ...]] = set()
        self._working_modes = {""}
        self._in_parts = self._takes_parts_alone()
        self._cuts: dict[str, str] = {}
        self.end_id: int = self._end_of_turn()
        self.end_ids = frozenset({self.end_id, int(tokenizer.eos_token_id), *ends})
        self.pad_id: int = self.end_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self.tool_reply = lru_cache(maxsize=4096)(self._tool_reply)

    @property
    def control_ids(self) -> list[int]:
        """Ids that control an episode instead of being text: end of turn, thinking, tool calls."""
        return sorted({*self._text.ids, *self.end_ids, self.pad_id})

    @property
    def prompt_date(self) -> str:
        """The date that every prompt shows, on whatever day; "" if the template shows none."""
        return PROMPT_DATE if "strftime_now" in self._template else ""

    def prompt(self, messages: Sequence[Mapping[str, str]], mode: str = "") -> list[int]:
        """Return the ids of the messages, up to where the model's first turn starts.

        ``mode`` sets the template's arguments; see ``template_call``.

        Raises:
            RefusedError: if the template drops or refuses a message of such a role, if the mode
                changes nothing, or for an image where only text is read.
        """
        self._refuse_lost(tuple(message["role"] for message in messages))
        self._refuse_idle(mode)
        counts = [len(images_in(message)) for message in messages]
        plain = [{"role": m["role"], "content": m["content"]} for m in messages]
        veiled = self._text.veil(plain)
        shown = with_places(veiled.messages, counts, self.images, self.tokenizer)
        text = self._render(shown, mode, starts_turn=True)
        ids = self._text.encode_rendered(text, veiled.meaning)
        return self.images.expanded(ids) if self.images is not None else ids

    def answer(self, text: str) -> list[int]:
        """Return the ids of a demonstrated model turn, with its end token."""
        return [*self._text.encode(text), self.end_id]

    def text(self, text: str) -> list[int]:
        """Return the ids of text that belongs to no conversation, without an end token."""
        return self._text.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of one model turn, without end and padding tokens."""
        kept = [token for token in ids if token not in self.end_ids and token != self.pad_id]
        return str(self.tokenizer.decode(kept, skip_special_tokens=False))

    def demonstration(
        self,
        messages: Sequence[Mapping[str, str]],
        turns: Sequence[tuple[str, str]],
        mode: str = "",
    ) -> Tokens:
        """Return the tokens of a worked example; ``turns`` are (role, content) after the prompt."""
        if any(role == "tool" for role, _ in turns):
            self.refuse_without_tools()
        ids = self.prompt(messages, mode)
        is_response = [False] * len(ids)
        for role, content in turns:
            is_own = role == "assistant"
            added = self.answer(content) if is_own else list(self.tool_reply(content, mode))
            ids += added
            is_response += [is_own] * len(added)
        given = [image for message in messages for image in images_in(message)]
        pixels = self.images.pixels(given) if self.images is not None else None
        return Tokens(tuple(ids), tuple(is_response), pixels)

    def refuse_without_tools(self) -> None:
        """Raise RefusedError for a template that refuses, drops or rewrites a tool's answer."""
        self._refuse_lost(("user", "assistant", "tool"))
        self.tool_reply(_PROBE)

    def _tool_reply(self, content: str, mode: str = "") -> tuple[int, ...]:
        """Return the ids between the end of a model turn and the start of the next.

        They hold the environment's answer as the template renders it in the episode's mode; the
        model does not learn from them.
        """
        veiled = self._text.veil([_message("tool", content)])
        said = [*_ASKED, _message("assistant", _PROBE), *veiled.messages]
        grown, cut = self._render(said, mode, starts_turn=True), self._cut_of(mode)
        if not grown.startswith(cut):
            raise RefusedError(
                "changing-template",
                "the chat template renders earlier turns differently after a tool's answer, so a "
                "multi-turn rollout would differ from the sampled tokens: import the checkpoint "
                "again (`provost checkpoint import`), which replaces Qwen3's template, or use a "
                "template that only appends (for example, one that keeps earlier reasoning)",
            )
        return tuple(self._text.encode_rendered(grown[len(cut) :], veiled.meaning))

    def _end_of_turn(self) -> int:
        """Return the id of the token with which the template closes the model's turn."""
        text = self._closed("")
        ids = self._text_ids(text[text.rfind(_PROBE) + len(_PROBE) :])
        special = {i for i, t in self.tokenizer.added_tokens_decoder.items() if t.special}
        closing = [token for token in ids if token in special]
        own = int(self.tokenizer.eos_token_id)
        if own in ids or closing:
            return own if own in ids else closing[0]
        raise RefusedError(
            "unclosed-turn",
            f"the chat template closes the model's turn with no special token (nor with "
            f"{self.tokenizer.eos_token!r}), so sampling would never stop there: let the template "
            "end the model's turn with eos_token",
        )

    def _cut_of(self, mode: str) -> str:
        """Return the rendering of a probe chat, cut right after the model turn's end token."""
        if mode not in self._cuts:
            text, end = self._closed(mode), str(self.tokenizer.convert_ids_to_tokens(self.end_id))
            self._cuts[mode] = text[: text.find(end, text.rfind(_PROBE)) + len(end)]
        return self._cuts[mode]

    def _closed(self, mode: str) -> str:
        return self._render([*_ASKED, _message("assistant", _PROBE)], mode, starts_turn=False)

    def _takes_parts_alone(self) -> bool:
        """Say whether the template shows a content only where it is a list of parts."""
        self._in_parts = False
        try:
            if _PROBE in self._render(_ASKED, starts_turn=True):
                return False
            problem = None
        except TemplateError as error:
            problem = error
        self._in_parts = True
        try:
            if _PROBE in self._render(_ASKED, starts_turn=True):
                return True
        except TemplateError as error:
            raise problem or error from None
        raise problem or _lost("user")

    def _refuse_lost(self, roles: tuple[str, ...]) -> None:
        """Render a conversation of such roles once, and look for each message in it."""
        if roles in self._kept_roles:
            return
        words = [f"{_PROBE}{place}q" for place in range(len(roles))]
        said = [_message(role, word) for role, word in zip(roles, words, strict=True)]
        try:
            text = self._render(said, starts_turn=roles[-1:] != ("assistant",))
        except TemplateError as error:
            raise RefusedError(
                "role-refused",
                f"the chat template cannot render a conversation of {' and '.join(roles)} ({error}"
                "): leave such messages out, or set tokenizer.chat_template to one that takes "
                "them and save the folder again",
            ) from error
        for role, word in zip(roles, words, strict=True):
            if word not in text:
                raise _lost(role)
        self._kept_roles.add(roles)

    def _refuse_idle(self, mode: str) -> None:
        if mode in self._working_modes:
            return
        own = self._render(_ASKED, mode, starts_turn=True)
        try:
            other = self._render(
                _ASKED, _OTHER_MODE.get(mode, f"{_PROBE} {mode}"), starts_turn=True
            )
        except TemplateError:  # a template that knows its modes refuses others
            other = ""
        if own == other:
            raise RefusedError(
                "idle-mode",
                f"the mode {mode!r} changes no token of a prompt, because the chat template does "
                f"not read {next(iter(template_call(mode)))!r}: remove the mode, or use a model "
                "with such a mode",
            )
        self._working_modes.add(mode)

    def _render(
        self, messages: Sequence[Mapping[str, str]], mode: str = "", *, starts_turn: bool
    ) -> str:
        special = {name: str(token) for name, token in self.tokenizer.special_tokens_map.items()}
        called = {**special, "add_generation_prompt": starts_turn, **template_call(mode)}
        whose = str(self.tokenizer.name_or_path) or "this tokenizer"
        return render(self._template, messages, called, whose=whose, in_parts=self._in_parts)

    def _text_ids(self, text: str) -> list[int]:
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


def _lost(role: str) -> RefusedError:
    return RefusedError(
        "message-lost",
        f"the chat template leaves out messages of the role {role!r}, so the model would never "
        "see them: leave such messages out, or set tokenizer.chat_template to one that shows them "
        "and save the folder again",
    )


_ASKED = (_message("user", _PROBE),)
