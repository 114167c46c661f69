"""The prompts that teachers with a system prompt of their own read in the place of the student's.

A rollout's response keeps its ids. Only what precedes the first sampled token is rendered anew, so
the teacher's log-probabilities and the student's belong to the same tokens, one by one.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from tasks.contracts.handover import PlannedTeacher
from tasks.contracts.refusal import RefusedError
from tasks.model.chat import ChatTokens
from tasks.model.system_prompt import chat_tokens
from tasks.rollout.environment import Message, Prompt
from tasks.rollout.room import nothing_reserved

_REMEMBERED = 1 << 16
"""Prompts whose tokens are kept: all are checked before a round, and recur every epoch."""


class TeacherPrompts:
    """The tokens of prompts as each teacher reads them."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, system_prompts: Mapping[str, str]
    ) -> None:
        """Take the student's tokenizer, and the system prompt of each teacher, "" for none.

        Raises:
            RefusedError: naming the teacher, for a system prompt that the template cannot show.
        """
        self._student = ChatTokens(tokenizer)
        self._chats: dict[str, ChatTokens] = {}
        for teacher, text in system_prompts.items():
            if not text:
                continue
            try:
                self._chats[teacher] = chat_tokens(tokenizer, text)
            except RefusedError as error:
                raise RefusedError(
                    error.code,
                    f"teacher {teacher!r} reads a system prompt that the student's chat template "
                    f"cannot show: {error}",
                ) from error
        self._encoded = lru_cache(maxsize=_REMEMBERED)(self._encode)

    def ids(self, teacher: str, prompt: Prompt) -> tuple[int, ...]:
        """Return the ids of a prompt behind the teacher's system prompt; () without one."""
        if teacher not in self._chats:
            return ()
        return self._encoded(teacher, prompt.messages, prompt.mode)

    def longer(self, teacher: str, prompt: Prompt) -> int:
        """Return how many tokens more than the student the teacher reads before a response."""
        if teacher not in self._chats:
            return 0
        return len(self.ids(teacher, prompt)) - len(
            self._student.prompt([vars(message) for message in prompt.messages], prompt.mode)
        )

    def _encode(self, teacher: str, messages: tuple[Message, ...], mode: str) -> tuple[int, ...]:
        chat = self._chats[teacher]
        return tuple(chat.prompt([vars(message) for message in messages], mode))


def room_for_teachers(
    prompts: TeacherPrompts,
    teachers: Iterable[PlannedTeacher],
    positions: int | None,
    folder: Callable[[PlannedTeacher], Path],
) -> Callable[[str, Prompt], int]:
    """Return how many of the student's positions a prompt of a domain has to leave free.

    A teacher with a system prompt reads longer rows, and may have fewer positions.

    Args:
        prompts: The prompts as the teachers read them.
        teachers: All teachers of the round.
        positions: Positions of the student; None if they have no limit.
        folder: Returns the folder of a teacher's checkpoint.
    """
    missing = {}
    for teacher in teachers:
        if teacher.system_prompt and positions is not None:
            own = json.loads((folder(teacher) / "config.json").read_text("utf-8"))
            limit = own.get("text_config", own).get("max_position_embeddings") or positions
            missing[teacher.name] = teacher.domain, max(0, positions - limit)
    if not missing:
        return nothing_reserved

    def reserved(domain: str, prompt: Prompt) -> int:
        return max(
            (
                prompts.longer(name, prompt) + fewer
                for name, (of, fewer) in missing.items()
                if of == domain
            ),
            default=0,
        )

    return reserved
