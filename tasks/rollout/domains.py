"""A domain as every step uses it: opened from the store, its prompts drawn by step, and played.

The environment runs in a confined worker, and the settings name the sampling engine. The ground
floor under RL, MOPD, merging and evaluation: none of them imports a team's code.
"""

import hashlib
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import torch
from pydantic import JsonValue
from torch import Tensor

from lineage.artifacts import Artifact
from lineage.store.store import Store
from tasks.contracts.refusal import RefusedError, refuse_other_kind
from tasks.model.architecture import declared_ends, positions_in
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy
from tasks.model.images import reader_in
from tasks.model.system_prompt import chat_tokens
from tasks.platform.progress import report
from tasks.rollout.client import EnvironmentClient
from tasks.rollout.collect import Player, Question, Rollout
from tasks.rollout.environment import Demonstration, Prompt
from tasks.rollout.prompts import read_demonstrations, read_prompts
from tasks.rollout.responses import (
    COMPARISONS,
    RESPONSES,
    PreferencePair,
    ScoredResponse,
    read_comparisons,
    read_responses,
)
from tasks.rollout.room import Room
from tasks.rollout.sampling.engine import make_sampler
from tasks.rollout.settings import SamplingSettings
from tasks.rollout.texts import TEXT, TextDocument, read_texts
from tasks.rollout.worker.client import EnvironmentWorker
from tasks.rollout.worker.limits import Confinement


@contextmanager
def open_environment(
    store: Store, environment: Artifact, domain: str, *, allow_unconfined: bool
) -> Iterator[EnvironmentWorker]:
    """Run a released environment from the store in a confined worker process.

    Raises:
        ConfinementError: this machine does not confine it, and ``allow_unconfined`` is False.
    """
    folder = store.tree(environment.digest)
    with EnvironmentWorker(folder, domain=domain, allow_unconfined=allow_unconfined) as worker:
        _warn_once(worker.confinement)
        yield worker


@contextmanager
def open_environments(
    store: Store, environments: Mapping[str, Artifact], *, allow_unconfined: bool
) -> Iterator[dict[str, EnvironmentWorker]]:
    """Run the environment of each domain, as ``open_environment`` does."""
    with ExitStack() as stack:
        yield {
            domain: stack.enter_context(
                open_environment(store, environment, domain, allow_unconfined=allow_unconfined)
            )
            for domain, environment in environments.items()
        }


@cache
def _warn_once(confinement: Confinement) -> None:
    """Warn if this platform lets a team's code reach more than it should."""
    if confinement.openings:
        report(
            "environment",
            0,
            0,
            message=f"warning: {' and '.join(confinement.openings)} are open to released "
            "environments here, because allow_unconfined is set; the records of this run note it",
        )


def model_note(policy: Policy) -> JsonValue:
    """Return for the record what was chosen for a model: attention, and the date in its prompts."""
    config = policy.model.config.get_text_config(decoder=True)
    date = ChatTokens(policy.tokenizer).prompt_date
    return {"attention": config._attn_implementation, **({"prompt_date": date} if date else {})}


def confinement_note(workers: Iterable[EnvironmentWorker]) -> JsonValue:
    """Return for the record how each domain's environment was confined."""
    return {worker.domain: dict(vars(worker.confinement)) for worker in workers}


def stored_prompts(store: Store, prompts: Artifact) -> list[Prompt]:
    """Return the prompts of a data set in the store."""
    with _as_file(store, prompts) as path:
        return read_prompts(path)


def stored_demonstrations(store: Store, demonstrations: Artifact) -> list[Demonstration]:
    """Return the worked examples of a data set in the store."""
    with _as_file(store, demonstrations) as path:
        return read_demonstrations(path)


def stored_responses(store: Store, responses: Artifact) -> list[ScoredResponse]:
    """Return the scored responses of a data set in the store."""
    refuse_other_kind(responses, RESPONSES, "responses")
    with _as_file(store, responses) as path:
        return read_responses(path)


def stored_comparisons(store: Store, comparisons: Artifact) -> list[PreferencePair]:
    """Return the comparisons of a data set in the store."""
    refuse_other_kind(comparisons, COMPARISONS, "comparisons")
    with _as_file(store, comparisons) as path:
        return read_comparisons(path)


def stored_texts(store: Store, text: Artifact) -> list[TextDocument]:
    """Return the documents of a data set in the store."""
    refuse_other_kind(text, TEXT, TEXT)
    with _as_file(store, text) as path:
        return read_texts(path)


def make_player(
    environments: Mapping[str, EnvironmentClient],
    policy: Policy,
    sampling: SamplingSettings,
    system_prompt: str = "",
    reserved: Callable[[str, Prompt], int] | None = None,
) -> Player:
    """Return a player of domains for a policy in this process, with the engine of the settings.

    A teacher reads its ``system_prompt`` before each prompt; environments do not see it. The
    episodes of a prompt leave as many positions free as ``reserved`` returns.
    """
    images = reader_in(policy.model.config)
    chat = chat_tokens(policy.tokenizer, system_prompt, declared_ends(policy.model), images)
    sampler = make_sampler(policy, chat, sampling)
    positions = positions_of(policy)
    room = Room(positions, reserved) if reserved else Room(positions)
    return Player(environments, sampler, chat, sampling, room=room)


def positions_of(policy: Policy) -> int | None:
    """Return how many positions a model has; None without a limit."""
    return positions_in(policy.model.config)


def play(player: Player, domain: str, prompts: Sequence[Prompt], seed: int) -> list[Rollout]:
    """Play each prompt once; the same seed gives each policy the same noise at the same prompt."""
    generator = torch.Generator().manual_seed(seed)
    noise_RT = noise_for(player, len(prompts), generator)
    return player.play([Question(domain, prompt) for prompt in prompts], noise_RT)


@contextmanager
def _as_file(store: Store, data: Artifact) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="provost-") as folder:
        path = Path(folder, f"{data.digest.removeprefix('sha256:')[:12]}.jsonl")
        path.write_bytes(store.get_bytes(data.digest))
        yield path


@dataclass(frozen=True)
class DomainShare:
    """A domain's part of each step."""

    domain: str
    prompts: Sequence[Prompt]
    prompts_per_step: int

    def __post_init__(self) -> None:
        """Refuse a domain without prompts or without a share."""
        if not self.prompts or self.prompts_per_step < 1:
            raise RefusedError(
                "never-trained",
                f"domain {self.domain!r} has {len(self.prompts)} prompts and a share of "
                f"{self.prompts_per_step} per step, so it would never be trained: set both above 0",
            )


class Plays(Protocol):
    """Plays questions with a policy; ``tasks.rollout.collect.Player``, or several of them."""

    @property
    def noise_per_rollout(self) -> int:
        """Number of uniform random numbers that a rollout may need."""

    def refuse_too_long(self, questions: Sequence[Question]) -> None:
        """Raise ValueError naming a question that leaves no room for a turn in the context."""

    def play(self, questions: Sequence[Question], noise_RT: Tensor) -> list[Rollout]:
        """Play each question once and return the graded rollouts in the same order."""


class Mixture:
    """Draws from several domains; every draw is repeatable from the seed and the step's number.

    Each domain goes through its prompts in a new random order each epoch. Nothing is kept between
    steps, so a run that is resumed at a step draws what the undisturbed run would have drawn.
    """

    def __init__(
        self, player: Plays, shares: Sequence[DomainShare], rollouts_per_prompt: int, seed: int
    ) -> None:
        """Play with ``player``, which knows the domains' environments.

        Raises:
            ValueError: if a prompt does not fit into the model, whatever step would draw it.
        """
        for share in shares:
            player.refuse_too_long([Question(share.domain, prompt) for prompt in share.prompts])
        self._player, self._shares, self._seed = player, list(shares), seed
        self._rollouts_per_prompt = rollouts_per_prompt

    def rollouts(self, step: int) -> list[Rollout]:
        """Sample the prompts of a step (counted from 1) with the current policy."""
        return self._player.play(*self.drawn(step))

    def drawn(self, step: int) -> tuple[list[Question], Tensor]:
        """Return the questions of a step, and a row of noise for each."""
        return self._with_noise([(s.domain, self._draw(s, step)) for s in self._shares], step)

    def replacements(
        self, step: int, attempt: int, counts: Mapping[str, int], used: Set[tuple[str, str]]
    ) -> list[Rollout]:
        """Sample so many other prompts of each domain in a step, as far as there are any.

        ``used`` are domain and id of prompts that are not drawn again in this step. Each
        ``attempt`` of a step draws others.
        """
        drawn = []
        for share in self._shares:
            free = [prompt for prompt in share.prompts if (share.domain, prompt.id) not in used]
            order = random.Random(f"{self._seed} {share.domain} {step} {attempt}")
            chosen = order.sample(free, min(len(free), counts.get(share.domain, 0)))
            drawn.append((share.domain, chosen))
        if not any(chosen for _, chosen in drawn):
            return []
        return self._player.play(*self._with_noise(drawn, step, attempt))

    def _with_noise(
        self, drawn: Iterable[tuple[str, Sequence[Prompt]]], *place: int
    ) -> tuple[list[Question], Tensor]:
        questions, noise = [], []
        for domain, prompts in drawn:
            own = [
                Question(domain, prompt)
                for prompt in prompts
                for _ in range(self._rollouts_per_prompt)
            ]
            questions += own
            # Of the domain's own: another domain in the mixture changes nothing here.
            generator = torch.Generator().manual_seed(seed_of(self._seed, domain, *place))
            noise.append(noise_for(self._player, len(own), generator))
        return questions, torch.cat(noise)

    def _draw(self, share: DomainShare, step: int) -> list[Prompt]:
        first = (step - 1) * share.prompts_per_step
        orders: dict[int, list[int]] = {}
        drawn = []
        for place in range(first, first + share.prompts_per_step):
            epoch, within = divmod(place, len(share.prompts))
            if epoch not in orders:
                orders[epoch] = self._order(share, epoch)
            drawn.append(share.prompts[orders[epoch][within]])
        return drawn

    def _order(self, share: DomainShare, epoch: int) -> list[int]:
        order = list(range(len(share.prompts)))
        random.Random(f"{self._seed} {share.domain} {epoch}").shuffle(order)
        return order


def noise_for(player: Plays, num_rollouts: int, generator: torch.Generator) -> Tensor:
    """Return uniform noise [rollouts, tokens] for a player.

    It is drawn token by token, so a player that may need more of it sees the same numbers first.
    """
    return torch.rand(player.noise_per_rollout, num_rollouts, generator=generator).T


def seed_of(*parts: object) -> int:
    """Return a 63-bit seed that differs wherever a part does."""
    text = " ".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
