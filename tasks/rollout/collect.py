"""Samples episodes: policy and environment take turns until the episode ends and is graded.

Shapes: R rollouts, T noise numbers for each (turns x tokens a turn).
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from torch import Tensor

from tasks.contracts.refusal import RefusedError
from tasks.model.chat import ChatTokens
from tasks.rollout.client import EnvironmentClient, Episode
from tasks.rollout.environment import Grade, Message, Prompt, Turn
from tasks.rollout.responses import GRADE, ScoredResponse
from tasks.rollout.room import WITHOUT_LIMIT, Room, refuse_long_prompt
from tasks.rollout.sampling.sampler import ModelTurn, Sampler
from tasks.rollout.settings import SamplingSettings

_REMEMBERED = 1 << 16
"""Number of prompts with cached tokens, at eight bytes per token: all prompts are checked against
the model's positions before a run, and recur every epoch. Rendering them again took 3 % of the
demo's steps."""


@dataclass(frozen=True)
class Rollout:
    """A finished, graded episode as text and as tokens."""

    domain: str
    prompt: Prompt
    turns: tuple[Turn, ...]
    grade: Grade
    ids: tuple[int, ...]
    is_response: tuple[bool, ...]
    """Whether the policy generated each token; prompts and tool answers are masked."""
    sampler_log_probs: tuple[float, ...]
    """Log-probability of each token in nats at the sampling temperature; 0 where masked."""
    truncated: bool
    """Whether a turn was truncated at its token limit, or the episode by the model's positions."""
    without_room: bool = False
    """Whether the model's positions left no room for a further turn."""
    pixels: Tensor | None = field(default=None, compare=False, repr=False)
    """Pixels of the prompt's images, as the model reads them; None without any."""
    staleness: int = 0
    """Number of updates of the policy since each of these tokens was sampled, when the run learns
    from them."""

    @property
    def num_response_tokens(self) -> int:
        """Number of tokens that the policy generated."""
        return sum(self.is_response)

    def scored(self, sampler: str) -> ScoredResponse:
        """Return the episode as a response of the checkpoint ``sampler``, with its grade."""
        return ScoredResponse(
            domain=self.domain,
            prompt=self.prompt,
            turns=self.turns,
            sampler=sampler,
            scores={GRADE: self.grade.score},
            num_tokens=self.num_response_tokens,
            truncated=self.truncated,
        )

    def behind(self, prompt: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[bool, ...]]:
        """Return the ids, and which of them were sampled, behind another prompt.

        What follows the prompt stays as it is: sampled tokens and the answers of tools.
        """
        first = self.is_response.index(True) if any(self.is_response) else len(self.ids)
        return prompt + self.ids[first:], (False,) * len(prompt) + self.is_response[first:]


@dataclass(frozen=True)
class Question:
    """A prompt and its domain."""

    domain: str
    prompt: Prompt


@dataclass
class _Open:
    """An unfinished episode."""

    question: Question
    ids: list[int]
    is_response: list[bool]
    log_probs: list[float]
    turns: list[Turn] = field(default_factory=list)
    truncated: bool = False
    without_room: bool = False
    pixels: Tensor | None = None

    @property
    def num_model_turns(self) -> int:
        return sum(turn.role == "assistant" for turn in self.turns)

    def write(self, turn: ModelTurn, text: str) -> None:
        self.ids += turn.ids
        self.is_response += [True] * len(turn.ids)
        self.log_probs += turn.log_probs
        self.turns.append(Turn("assistant", text))
        self.truncated |= not turn.ended

    def hear(self, reply: str, ids: Sequence[int]) -> None:
        self.ids += ids
        self.is_response += [False] * len(ids)
        self.log_probs += [0.0] * len(ids)
        self.turns.append(Turn("tool", reply))

    def episode(self) -> Episode:
        return Episode(self.question.prompt, tuple(self.turns))

    def close(self, grade: Grade) -> Rollout:
        return Rollout(
            domain=self.question.domain,
            prompt=self.question.prompt,
            turns=tuple(self.turns),
            grade=grade,
            ids=tuple(self.ids),
            is_response=tuple(self.is_response),
            sampler_log_probs=tuple(self.log_probs),
            truncated=self.truncated,
            without_room=self.without_room,
            pixels=self.pixels,
        )


class Player:
    """Plays prompts against their domains' environments; all domains share the sampler's batches.

    Domains go together because a decoding step costs little more for sixty rows than for sixteen.
    """

    def __init__(
        self,
        environments: Mapping[str, EnvironmentClient],
        sampler: Sampler,
        chat: ChatTokens,
        settings: SamplingSettings,
        batch_size: int = 256,
        room: Room = WITHOUT_LIMIT,
    ) -> None:
        """Take the collaborators; none of them is owned or closed here.

        An episode that a tool's answer would make longer than its ``room`` ends there, truncated.
        Raises ValueError for a template that cannot render several turns.
        """
        self._environments, self.sampler, self._chat = environments, sampler, chat
        self._settings, self._batch_size, self._room = settings, batch_size, room
        self._context = lru_cache(maxsize=_REMEMBERED)(self._encode)
        if any(environment.max_turns > 1 for environment in environments.values()):
            chat.refuse_without_tools()

    @property
    def noise_per_rollout(self) -> int:
        """Number of uniform numbers that a rollout may need: one for each token of each turn."""
        turns = max(environment.max_turns for environment in self._environments.values())
        return turns * self._settings.max_new_tokens

    def refuse_too_long(self, questions: Sequence[Question]) -> None:
        """Raise ValueError naming a question that leaves no room for a turn in the context."""
        for question in questions:
            self._open(question)

    def contexts(self, questions: Sequence[Question]) -> list[list[int]]:
        """Return the ids of each question's first context."""
        return [self._open(question).ids for question in questions]

    def play(self, questions: Sequence[Question], noise_RT: Tensor) -> list[Rollout]:
        """Play each question once and return the graded rollouts in the same order.

        Args:
            questions: The questions.
            noise_RT: Uniform in [0, 1), a row of ``noise_per_rollout`` for each question.
        """
        if not questions:
            raise RefusedError(
                "no-prompts", "the list of prompts is empty: give each domain at least one"
            )
        absent = sorted({q.domain for q in questions} - set(self._environments))
        if absent:
            raise RefusedError(
                "missing-environment",
                f"domains {absent} have prompts but no environment (there are "
                f"{sorted(self._environments)}): open each domain's environment first",
            )
        episodes = [self._open(question) for question in questions]
        writing = list(range(len(episodes)))
        for start in range(0, self.noise_per_rollout, self._settings.max_new_tokens):
            self._write(episodes, writing, noise_RT[:, start:])
            writing = self._hear(episodes, writing)
            if not writing:
                break
        return self._grade(episodes)

    def _encode(self, messages: tuple[Message, ...], mode: str) -> "array[int]":
        return array("l", self._chat.prompt([vars(message) for message in messages], mode))

    def _open(self, question: Question) -> _Open:
        ids = list(self._context(question.prompt.messages, question.prompt.mode))
        room = self._settings.max_new_tokens
        limit = self._room.limit(question.domain, question.prompt)
        if limit is not None:
            refuse_long_prompt(question.domain, question.prompt, len(ids), room, limit)
        opened = _Open(question, ids, [False] * len(ids), [0.0] * len(ids))
        if self._chat.images is not None:
            given = [image for message in question.prompt.messages for image in message.images]
            opened.pixels = self._chat.images.pixels(given)
        return opened

    def _write(self, episodes: Sequence[_Open], writing: Sequence[int], noise_RT: Tensor) -> None:
        """Sample a turn; contexts of similar length share a batch to save padding."""
        order = sorted(writing, key=lambda place: len(episodes[place].ids))
        for first in range(0, len(order), self._batch_size):
            places = order[first : first + self._batch_size]
            turns = self._turns([episodes[place] for place in places], noise_RT[places])
            for place, turn in zip(places, turns, strict=True):
                episodes[place].write(turn, self._chat.decode(turn.ids))

    def _turns(self, episodes: Sequence[_Open], noise_RT: Tensor) -> list[ModelTurn]:
        contexts = [episode.ids for episode in episodes]
        pixels = [episode.pixels for episode in episodes]
        if all(each is None for each in pixels):
            return self.sampler.sample(contexts, noise_RT)
        return self.sampler.sample(contexts, noise_RT, pixels)

    def _hear(self, episodes: Sequence[_Open], writing: Sequence[int]) -> list[int]:
        """Let environments answer turns that ended; return the episodes that continue."""
        going_on = []
        for domain, environment in self._environments.items():
            ended = [
                place
                for place in writing
                if episodes[place].question.domain == domain
                and not episodes[place].truncated
                and episodes[place].num_model_turns < environment.max_turns
            ]
            if not ended:
                continue
            replies = environment.respond([episodes[place].episode() for place in ended])
            for place, reply in zip(ended, replies, strict=True):
                if reply is not None and self._hears(episodes[place], reply):
                    going_on.append(place)
        return sorted(going_on)

    def _hears(self, episode: _Open, reply: str) -> bool:
        """Add a tool's answer to an episode, or end it if no further turn would fit."""
        ids = self._chat.tool_reply(reply, episode.question.prompt.mode)
        length = len(episode.ids) + len(ids) + self._settings.max_new_tokens
        limit = self._room.limit(episode.question.domain, episode.question.prompt)
        if limit is not None and length > limit:
            episode.truncated = episode.without_room = True
            return False
        episode.hear(reply, ids)
        return True

    def _grade(self, episodes: Sequence[_Open]) -> list[Rollout]:
        rollouts: dict[int, Rollout] = {}
        for domain, environment in self._environments.items():
            places = [
                place for place, open_ in enumerate(episodes) if open_.question.domain == domain
            ]
            if places:
                grades = environment.grade([episodes[place].episode() for place in places])
                for place, grade in zip(places, grades, strict=True):
                    rollouts[place] = episodes[place].close(grade)
        return [rollouts[place] for place in range(len(episodes))]
