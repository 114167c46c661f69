"""Whether a domain's episodes fit into a model: its positions, its template, the limit of a turn.

It needs the config and the tokenizer of a checkpoint, and no weights, so it comes before a run.
"""

import math
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoConfig

from lineage.artifacts import Artifact
from lineage.store.store import Store, read_tree
from tasks.contracts.refusal import RefusedError
from tasks.model.architecture import positions_in
from tasks.model.chat import ChatTokens
from tasks.model.files import load_tokenizer
from tasks.model.images import reader_in
from tasks.model.system_prompt import chat_tokens
from tasks.rollout.environment import Demonstration, Message, Prompt
from tasks.rollout.room import nothing_reserved

_MOST_CUT = 0.5
"""Share of demonstrations above the limit of a turn from which a run is refused: the usual answer
of the domain is longer then. Fewer are rare long ones."""


@dataclass(frozen=True)
class ChatReader:
    """How a stored checkpoint reads a chat."""

    chat: ChatTokens
    positions: int | None
    """Positions of the model; None without a limit."""


def reader_of(store: Store, checkpoint: Artifact, system_prompt: str = "") -> ChatReader:
    """Return how a checkpoint in the store reads a chat behind a system prompt, "" for none.

    Raises:
        RefusedError: for a template that cannot show what it must.
    """
    with tempfile.TemporaryDirectory(prefix="provost-") as folder:
        for file in read_tree(store, checkpoint.digest).files:
            if not file.path.endswith(".safetensors"):
                path = Path(folder, file.path)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(store.get_bytes(file.digest))
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokenizer = load_tokenizer(Path(folder))
    images = reader_in(config)
    return ChatReader(chat_tokens(tokenizer, system_prompt, images=images), positions_in(config))


@dataclass(frozen=True)
class Longest:
    """The prompt of a domain that leaves the least room."""

    prompt: Prompt
    num_tokens: int
    reserved: int = 0
    """Positions that its episodes leave free for a teacher's system prompt."""

    @property
    def taken(self) -> int:
        """Positions that no turn can use."""
        return self.num_tokens + self.reserved


def longest_prompt(
    reader: ChatReader,
    domain: str,
    prompts: Sequence[Prompt],
    reserved: Callable[[str, Prompt], int] = nothing_reserved,
    *,
    enough: int = 0,
) -> Longest:
    """Return the longest of the prompts, at least one, as the model reads them.

    Where nothing is reserved, a prompt is not tokenized if its characters are too few for the
    longest, or for more than ``enough`` tokens. If no prompt has more, any of them is returned.
    """

    def measured(prompt: Prompt) -> Longest:
        ids = reader.chat.prompt([vars(message) for message in prompt.messages], prompt.mode)
        return Longest(prompt, len(ids), reserved(domain, prompt))

    if reserved is not nothing_reserved:
        return max(map(measured, prompts), key=lambda found: found.taken)
    most_tokens = _MostTokens(reader.chat)
    bounds = [most_tokens(prompt) for prompt in prompts]
    first, *others = sorted(range(len(prompts)), key=lambda place: -bounds[place])
    longest = measured(prompts[first])
    for place in others:
        if bounds[place] <= max(enough, longest.taken):
            break
        longest = max(longest, measured(prompts[place]), key=lambda found: found.taken)
    return longest


_SIGN = re.compile(r"[^A-Za-z0-9 ]")


class _MostTokens:
    """A bound on a prompt's tokens, from its characters.

    No tokenizer makes more tokens of ASCII text than it has characters, and one in front of it. A
    template shows each message once, in a frame that depends on roles and mode alone. It may
    escape signs, each with six characters at most, such as ``&quot;``.
    """

    def __init__(self, chat: ChatTokens) -> None:
        self._chat = chat
        self._frames: dict[tuple[tuple[str, ...], str], int] = {}

    def __call__(self, prompt: Prompt) -> float:
        texts = [message.content for message in prompt.messages]
        if any(message.images for message in prompt.messages) or not all(map(str.isascii, texts)):
            return math.inf
        letters = sum(1 + len(text) + 5 * len(_SIGN.findall(text)) for text in texts)
        return self._frame(prompt) + letters

    def _frame(self, prompt: Prompt) -> int:
        """Return the tokens of a prompt of the same roles and mode with a letter in each message.

        An empty message is not shown, or refused, by some templates.
        """
        roles = tuple(message.role for message in prompt.messages)
        if (roles, prompt.mode) not in self._frames:
            plain = [vars(Message(role, "x")) for role in roles]
            self._frames[roles, prompt.mode] = len(self._chat.prompt(plain, prompt.mode))
        return self._frames[roles, prompt.mode]


def without_room(longest: Longest, num_turns: int, turn: int, limit: int) -> str:
    """Return what is said where episodes may end for want of positions; "" where all fit.

    Args:
        longest: The domain's longest prompt.
        num_turns: The most turns of the model in an episode.
        turn: The most tokens of a turn. Answers of tools come on top, as long as they are.
        limit: Positions of the model.
    """
    needed = longest.taken + num_turns * turn
    if needed <= limit:
        return ""
    return (
        f"{num_turns} turns of up to {turn} tokens behind a prompt of {longest.taken} "
        f"({longest.prompt.id!r}) take {needed} positions, without the answers of tools, but the "
        f"model has {limit}: an episode ends, cut, where a further turn would not fit"
    )


def longest_turn(chat: ChatTokens, demonstration: Demonstration) -> int:
    """Return the tokens of a demonstration's longest turn of its own.

    The end token does not count: without it the text is whole, and graded so.
    """
    own = [turn.content for turn in demonstration.turns if turn.role == "assistant"]
    return max((len(chat.text(content)) for content in own), default=0)


def cut_turns(domain: str, lengths: Sequence[int], max_new_tokens: int) -> str:
    """Return a warning where demonstrations have longer turns than may be sampled; "" if none do.

    Args:
        domain: Name of the domain.
        lengths: Tokens of the longest turn of each demonstration.
        max_new_tokens: Maximum number of tokens of a sampled turn.

    Raises:
        RefusedError: ``turn-too-long`` where more than half of the demonstrations do.
    """
    cut = sum(length > max_new_tokens for length in lengths)
    if not cut:
        return ""
    said = (
        f"{cut} of {len(lengths)} demonstrations of {domain!r} have a turn of more than "
        f"max_new_tokens ({max_new_tokens}), the longest of {max(lengths)} tokens: a sampled "
        f"answer of that length is cut, and graded as it is. Set max_new_tokens to "
        f"{max(lengths) + 1} or more in the sampling settings, or shorten the demonstrations"
    )
    if cut > _MOST_CUT * len(lengths):
        raise RefusedError("turn-too-long", said)
    return said
