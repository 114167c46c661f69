"""A behavior: a prompt and a response, optionally against a contrast response, as tokens.

Shapes: N response tokens of all behaviors together, contrasts included.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from tasks.contracts.refusal import RefusedError
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy
from tasks.model.log_probs import TokenBatch, pad_right
from tasks.rollout.sampling.engine import make_sampler
from tasks.rollout.settings import SamplingEngine, SamplingSettings

MOST_BEHAVIORS = 10_000
"""Maximum number of behaviors in a file; each is integrated along training, so sample from a
larger set."""
_MOST_BYTES = 64 << 20


class Said(BaseModel):
    """One message of a prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant", "tool"]
    content: str


class Behavior(BaseModel):
    """A prompt with a response, which an audit explains, optionally against a contrast."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    prompt: tuple[Said, ...] = Field(min_length=1)
    response: str = Field(min_length=1)
    contrast: str | None = Field(default=None, min_length=1)
    """Response to contrast with: the audit explains the log-odds of the response over this one."""
    domain: str = ""
    """Domain of the prompt, if known; the baseline estimator names its owner."""


def read_behaviors(file: Path) -> list[Behavior]:
    """Return the behaviors of a JSONL file, one object a line.

    Raises:
        ValueError: for a file that is empty, too large, or has an invalid line; the message names
            the line.
    """
    if file.stat().st_size > _MOST_BYTES:
        raise RefusedError(
            "file-too-large",
            f"{file} has {file.stat().st_size >> 20} MiB, more than {_MOST_BYTES >> 20}: draw a "
            "sample of the behaviors; a few hundred give narrow intervals",
        )
    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError(
            "not-utf-8",
            f"{file} is not UTF-8 text ({error.reason} at byte {error.start}): save it as JSON "
            "lines in UTF-8",
        ) from error
    behaviors = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            behaviors.append(_parse(line, f"line {number} of {file}"))
        if len(behaviors) > MOST_BEHAVIORS:
            raise RefusedError(
                "too-many-behaviors",
                f"{file} holds more than {MOST_BEHAVIORS} behaviors: draw a sample of them; a "
                "few hundred give narrow intervals",
            )
    if not behaviors:
        raise RefusedError(
            "no-behaviors",
            f"{file} holds no behavior: write one JSON object per line, such as "
            '{"prompt": [{"role": "user", "content": "2+2="}], "response": "4"}',
        )
    return behaviors


def _parse(line: str, where: str) -> Behavior:
    try:
        return Behavior.model_validate(json.loads(line))
    except (ValueError, RecursionError) as error:
        what = _first(error) if isinstance(error, ValidationError) else str(error)
        raise RefusedError(
            "invalid-behavior",
            f"{where} is not a valid behavior ({what}): write an object with prompt (a list of "
            "messages with role and content), response, and optionally contrast, name and domain",
        ) from error


def _first(error: ValidationError) -> str:
    """Return the first validation error, and where it is."""
    first = error.errors()[0]
    return ": ".join((".".join(map(str, first["loc"])), first["msg"])).removeprefix(": ")


@dataclass(frozen=True)
class Encoded:
    """Behaviors as one batch of sequences; a contrast is a sequence of its own."""

    behaviors: tuple[Behavior, ...]
    tokens: TokenBatch
    owners_N: Tensor
    """The behavior of each response token."""
    signs_N: Tensor
    """1 for a token of a response, -1 for a token of a contrast."""

    def total(self, values_N: Tensor) -> Tensor:
        """Return one number per behavior [B]: the signed sum over its tokens."""
        total_B = torch.zeros(len(self.behaviors), dtype=values_N.dtype)
        return total_B.index_add_(0, self.owners_N, values_N * self.signs_N)

    def only(self, chosen_B: Tensor) -> "tuple[Encoded, Tensor]":
        """Return some of the behaviors [B, boolean], and the places in [N] of their tokens."""
        kept_N = chosen_B[self.owners_N]
        numbers_B = chosen_B.long().cumsum(0) - 1
        rows = self.tokens.rows_N[kept_N].unique()
        tokens = TokenBatch(
            self.tokens.ids_BS[rows],
            torch.searchsorted(rows, self.tokens.rows_N[kept_N]),
            self.tokens.columns_N[kept_N],
        )
        part = Encoded(
            tuple(b for b, kept in zip(self.behaviors, chosen_B.tolist(), strict=True) if kept),
            tokens,
            numbers_B[self.owners_N[kept_N]],
            self.signs_N[kept_N],
        )
        return part, kept_N.nonzero()[:, 0]

    def of(self, behavior: int, *, contrast: bool = False) -> Tensor:
        """Return the places in [N] of a behavior's response tokens, or of its contrast's."""
        sign = -1 if contrast else 1
        return ((self.owners_N == behavior) & (self.signs_N == sign)).nonzero()[:, 0]


def encode(behaviors: Sequence[Behavior], chat: ChatTokens, max_context: int | None) -> Encoded:
    """Turn behaviors into tokens with the student's own template.

    Raises:
        ValueError: for an empty list, a response that the tokenizer does not reproduce, or one that
            does not fit into the context.
    """
    if not behaviors:
        raise RefusedError("no-behaviors", "no behavior was given: give a prompt and a response")
    rows: list[list[int]] = []
    chosen: list[list[bool]] = []
    owners: list[int] = []
    signs: list[float] = []
    for place, behavior in enumerate(behaviors):
        prompt = chat.prompt([said.model_dump() for said in behavior.prompt])
        for text, sign in _texts(behavior):
            answer = _answer(text, behavior, chat)
            if max_context is not None and len(prompt) + len(answer) > max_context:
                raise RefusedError(
                    "behavior-too-long",
                    f"{_called(behavior)} has {len(prompt) + len(answer)} tokens, more than the "
                    f"model's {max_context}: shorten its prompt or its response",
                )
            rows.append([*prompt, *answer])
            chosen.append([False] * len(prompt) + [True] * len(answer))
            owners += [place] * len(answer)
            signs += [sign] * len(answer)
    return Encoded(
        tuple(behaviors),
        pad_right(rows, chosen, chat.pad_id),
        torch.tensor(owners),
        torch.tensor(signs),
    )


def refuse_own_contrast(behaviors: Iterable[Behavior]) -> None:
    """Raise ValueError for a behavior that is its own contrast."""
    for behavior in behaviors:
        if behavior.contrast == behavior.response:
            raise RefusedError(
                "own-contrast",
                f"{_called(behavior)} has its own response as contrast, so there is nothing to "
                "explain: give another response as contrast",
            )


def _texts(behavior: Behavior) -> Iterable[tuple[str, float]]:
    yield behavior.response, 1.0
    if behavior.contrast is not None:
        yield behavior.contrast, -1.0


def _answer(text: str, behavior: Behavior, chat: ChatTokens) -> list[int]:
    ids = chat.answer(text)
    found = chat.decode(ids)
    if found != text:
        raise RefusedError(
            "other-tokens",
            f"{_called(behavior)}: the student's tokenizer turns {text!r} into {found!r}, so the "
            "student could not have produced it: copy the response exactly as the student wrote it",
        )
    return ids


def _called(behavior: Behavior) -> str:
    return f"behavior {behavior.name or behavior.response[:40]!r}"


Messages = tuple[Said, ...]


def first_turns(
    policy: Policy, prompts: Sequence[Messages], sampling: SamplingSettings, seed: int
) -> list[str | None]:
    """Return a policy's first turn for each prompt; None if it is not usable as a behavior.

    Unusable is a turn that was truncated, is empty, or has a text that encodes to other tokens. The
    same seed gives every model the same noise at the same prompt.
    """
    chat = ChatTokens(policy.tokenizer)
    own = {"engine": SamplingEngine.TRANSFORMERS, "vllm": None}
    settings = sampling.model_copy(update=own)
    generator = torch.Generator().manual_seed(seed)
    noise_RT = torch.rand(settings.max_new_tokens, len(prompts), generator=generator).T
    contexts = [chat.prompt([said.model_dump() for said in prompt]) for prompt in prompts]
    turns = make_sampler(policy, chat, settings).sample(contexts, noise_RT)
    found: list[str | None] = []
    for turn in turns:
        text = chat.decode(turn.ids)
        usable = turn.ended and text and chat.answer(text) == list(turn.ids)
        found.append(text if usable else None)
    return found
