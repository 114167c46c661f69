"""Opens a domain from the store: its environment in a confined worker, its prompts, a player.

The ground floor under RL, MOPD, merging and evaluation: none of them imports a team's code.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from pydantic import JsonValue

from lineage.artifacts import Artifact
from lineage.store.store import Store
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy
from tasks.platform.progress import report
from tasks.rollout.client import EnvironmentClient
from tasks.rollout.collect import Player, Question, Rollout
from tasks.rollout.environment import Demonstration, Prompt
from tasks.rollout.prompts import read_demonstrations, read_prompts
from tasks.rollout.sampling.engine import make_sampler
from tasks.rollout.settings import SamplingSettings
from tasks.rollout.source import noise_for
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


def make_player(
    environments: Mapping[str, EnvironmentClient], policy: Policy, sampling: SamplingSettings
) -> Player:
    """Return a player of domains for a policy in this process, with the engine of the settings."""
    chat = ChatTokens(policy.tokenizer)
    sampler = make_sampler(policy, chat, sampling)
    max_context = getattr(policy.model.config, "max_position_embeddings", None)
    return Player(environments, sampler, chat, sampling, max_context=max_context)


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
