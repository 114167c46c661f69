"""A system prompt that only a teacher sees: chat tokens that put it before each prompt.

The team declares it with its domain. The teacher sees it wherever it meets a prompt of the domain:
in training, in evaluation, in the gate, and when it scores the student's rollouts. The student
never sees it, so what the prompt makes of the teacher is distilled into the student's weights.
"""

from collections.abc import Collection, Mapping, Sequence

from transformers import PreTrainedTokenizerBase

from tasks.contracts.refusal import RefusedError
from tasks.model.chat import ChatTokens
from tasks.model.control_tokens import ControlTokens
from tasks.model.images import ImageReader


class SystemPrompted(ChatTokens):
    """Chat tokens of a model that reads a system prompt before each prompt."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        system_prompt: str,
        ends: Collection[int] = (),
        images: ImageReader | None = None,
    ) -> None:
        """Check once that the template shows the system prompt; the rest is as in ``ChatTokens``.

        Raises:
            RefusedError: for a system prompt with control tokens, or a template that drops or
                refuses system messages.
        """
        super().__init__(tokenizer, ends, images)
        if found := ControlTokens(tokenizer).found(system_prompt):
            raise RefusedError(
                "control-token",
                f"the teacher's system prompt contains {', '.join(map(repr, found))}, which the "
                "tokenizer reserves for the borders of turns: remove it from the system prompt",
            )
        self._system_prompt = system_prompt
        self.prompt([{"role": "user", "content": "?"}])  # a template without the role is refused

    def prompt(self, messages: Sequence[Mapping[str, str]], mode: str = "") -> list[int]:
        """Return the ids of the system prompt and the messages; see ``ChatTokens.prompt``."""
        return super().prompt(with_system_prompt(messages, self._system_prompt), mode)


def chat_tokens(
    tokenizer: PreTrainedTokenizerBase,
    system_prompt: str,
    ends: Collection[int] = (),
    images: ImageReader | None = None,
) -> ChatTokens:
    """Return the chat tokens of a model that sees this system prompt; "" for none."""
    if not system_prompt:
        return ChatTokens(tokenizer, ends, images)
    return SystemPrompted(tokenizer, system_prompt, ends, images)


def with_system_prompt(
    messages: Sequence[Mapping[str, str]], system_prompt: str
) -> list[Mapping[str, str]]:
    """Return messages behind a system prompt, or as they are where it is "".

    A prompt's own system message follows in the same message, after an empty line, because most
    templates take one system message.
    """
    if not system_prompt:
        return [*messages]
    first, rest = messages[0], messages[1:]
    if first["role"] != "system":
        return [{"role": "system", "content": system_prompt}, *messages]
    return [{**first, "content": f"{system_prompt}\n\n{first['content']}"}, *rest]
