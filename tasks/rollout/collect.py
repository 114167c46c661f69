"""Plays episodes: the policy writes a turn, the environment answers, until it ends; then a grade.

Shapes: R rollouts, T noise numbers for each (turns x tokens a turn).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tasks.model.chat import ChatTokens
from tasks.rollout.client import EnvironmentClient, Episode
from tasks.rollout.environment import Grade, Prompt, Turn
from tasks.rollout.sampler import ModelTurn, Sampler
from tasks.rollout.settings import SamplingSettings


@dataclass(frozen=True)
class Rollout:
    """A finished, graded episode in words and in tokens."""

    domain: str
    prompt: Prompt
    turns: tuple[Turn, ...]
    grade: Grade
    ids: tuple[int, ...]
    is_response: tuple[bool, ...]
    """For each token whether the policy wrote it; prompts and tool answers are masked."""
    sampler_log_probs: tuple[float, ...]
    """For each token, in nats under the sampling temperature; 0 where masked."""
    truncated: bool
    """A turn was cut at its token limit, so it never ended by itself."""

    @property
    def num_response_tokens(self) -> int:
        """How many tokens the policy wrote."""
        return sum(self.is_response)


@dataclass
class _Open:
    """An episode being played."""

    prompt: Prompt
    ids: list[int]
    is_response: list[bool]
    log_probs: list[float]
    turns: list[Turn] = field(default_factory=list)
    truncated: bool = False

    def write(self, turn: ModelTurn, text: str) -> None:
        self._extend(turn.ids, True, turn.log_probs)  # noqa: FBT003
        self.turns.append(Turn("assistant", text))
        self.truncated |= not turn.ended

    def hear(self, reply: str, ids: Sequence[int]) -> None:
        self._extend(ids, False, [0.0] * len(ids))  # noqa: FBT003
        self.turns.append(Turn("tool", reply))

    def _extend(self, ids: Sequence[int], response: bool, log_probs: Sequence[float]) -> None:  # noqa: FBT001
        self.ids += ids
        self.is_response += [response] * len(ids)
        self.log_probs += log_probs

    def episode(self) -> Episode:
        return Episode(self.prompt, tuple(self.turns))


class Player:
    """Plays prompts of one domain against its environment, in batches."""

    def __init__(
        self,
        domain: str,
        environment: EnvironmentClient,
        sampler: Sampler,
        chat: ChatTokens,
        settings: SamplingSettings,
        batch_size: int = 256,
    ) -> None:
        """Take the collaborators; none of them is owned or closed here."""
        self._domain, self._environment = domain, environment
        self._sampler, self._chat = sampler, chat
        self._settings, self._batch_size = settings, batch_size

    def play(self, prompts: Sequence[Prompt], generator: torch.Generator) -> list[Rollout]:
        """Play each prompt once and return the graded rollouts in the same order."""
        if not prompts:
            raise ValueError(f"domain {self._domain!r} has no prompts to play: give at least one")
        noise_RT = torch.rand(
            len(prompts),
            self._environment.max_turns * self._settings.max_new_tokens,
            generator=generator,
        )
        open_episodes = [self._open(prompt) for prompt in prompts]
        writing = list(range(len(prompts)))
        for turn in range(self._environment.max_turns):
            start = turn * self._settings.max_new_tokens
            self._write(open_episodes, writing, noise_RT[:, start:])
            if turn + 1 == self._environment.max_turns:
                break
            writing = self._hear(open_episodes, writing)
            if not writing:
                break
        grades = self._environment.grade([episode.episode() for episode in open_episodes])
        return [
            self._close(episode, grade)
            for episode, grade in zip(open_episodes, grades, strict=True)
        ]

    def _open(self, prompt: Prompt) -> _Open:
        ids = self._chat.prompt([vars(message) for message in prompt.messages])
        return _Open(prompt, ids, [False] * len(ids), [0.0] * len(ids))

    def _write(self, episodes: Sequence[_Open], writing: Sequence[int], noise_RT: Tensor) -> None:
        """Let the policy write a turn; contexts of like length share a batch to save padding."""
        order = sorted(writing, key=lambda place: len(episodes[place].ids))
        for first in range(0, len(order), self._batch_size):
            places = order[first : first + self._batch_size]
            turns = self._sampler.sample([episodes[p].ids for p in places], noise_RT[places])
            for place, turn in zip(places, turns, strict=True):
                episodes[place].write(turn, self._chat.decode(turn.ids))

    def _hear(self, episodes: Sequence[_Open], writing: Sequence[int]) -> list[int]:
        """Let the environment answer turns that ended; return the episodes that go on."""
        ended = [place for place in writing if not episodes[place].truncated]
        replies = self._environment.respond([episodes[place].episode() for place in ended])
        going_on = []
        for place, reply in zip(ended, replies, strict=True):
            if reply is not None:
                episodes[place].hear(reply, self._chat.tool_reply(reply))
                going_on.append(place)
        return going_on

    def _close(self, episode: _Open, grade: Grade) -> Rollout:
        return Rollout(
            domain=self._domain,
            prompt=episode.prompt,
            turns=tuple(episode.turns),
            grade=grade,
            ids=tuple(episode.ids),
            is_response=tuple(episode.is_response),
            sampler_log_probs=tuple(episode.log_probs),
            truncated=episode.truncated,
        )
