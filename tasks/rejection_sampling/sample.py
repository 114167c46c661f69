"""Samples K responses to each prompt from one or several checkpoints, all kept with their grades.

What a response is sampled with comes from the seed, the checkpoint's name, the prompt and the
number of the sample alone. So a further checkpoint, prompt or sample leaves the noise of the others
as it was.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from lineage.records.system_prompt import store_system_prompt, system_prompt_inputs
from tasks.contracts.named import NamedArtifact, refuse_repeated_names
from tasks.contracts.refusal import RefusedError, refuse_other_kind
from tasks.model.files import Policy, load_images, load_policy, load_tokenizer, max_positions
from tasks.model.system_prompt import chat_tokens
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.ranks import rank_device
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.rejection_sampling.parts import make_parts, part_size
from tasks.rejection_sampling.settings import DomainPrompts, ResponseSettings
from tasks.rollout.collect import Player, Question
from tasks.rollout.domains import (
    confinement_note,
    make_player,
    model_note,
    open_environments,
    seed_of,
    stored_prompts,
)
from tasks.rollout.environment import Prompt
from tasks.rollout.responses import GRADE, RESPONSES, ScoredResponse, write_responses
from tasks.rollout.room import refuse_long_prompt
from tasks.rollout.worker.client import EnvironmentWorker


def sample_responses(
    runner: StepRunner,
    checkpoints: Sequence[NamedArtifact],
    domains: Sequence[DomainPrompts],
    settings: ResponseSettings,
    seed: int,
    owner: str = "",
) -> Artifact:
    """Return the responses of every checkpoint to every prompt, found or else sampled.

    Raises:
        RefusedError: ``other-kind`` for a sampler of another kind, ``no-samples`` for fewer
            than one response per prompt, ``no-sampler``, ``no-prompts``, ``repeated-name``,
            ``missing-environment``, and ``prompt-too-long`` before anything is sampled.
    """
    _refuse(checkpoints, domains, settings)
    derivation = Derivation(
        project=runner.project,
        kind="sampling",
        inputs=_inputs(checkpoints, domains),
        source=source_digest("rejection_sampling"),
        settings={
            **settings.model_dump(mode="json"),
            "domains": [each.domain for each in domains],
        },
        seed=seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        for domain in domains:
            store_system_prompt(runner.store, domain.system_prompt)
        work = list(_work(runner, checkpoints, domains, settings))
        _refuse_long(runner, checkpoints, work, settings)
        with _opened(runner, domains, settings) as workers:
            measurements.notes["confinement"] = confinement_note(workers.values())
            studio = _Studio(runner, workers, settings, seed, measurements)
            responses = make_parts(
                runner,
                derivation,
                measurements,
                len(work),
                lambda number: studio.part(number, len(work), work[number]),
            )
        measurements.notes["tokens_sampled"] = sum(each.num_tokens for each in responses)
        write_responses(folder / "responses.jsonl", responses)
        return folder / "responses.jsonl"

    return runner.find_or_make(derivation, RESPONSES, make, owner)


def _refuse(
    checkpoints: Sequence[NamedArtifact],
    domains: Sequence[DomainPrompts],
    settings: ResponseSettings,
) -> None:
    """Refuse by kinds, names and numbers, before anything is read."""
    if settings.samples_per_prompt < 1:
        raise RefusedError(
            "no-samples",
            f"samples_per_prompt is {settings.samples_per_prompt}, so nothing would be sampled: "
            "set it to 1 or more, and to 2 or more for pairs",
        )
    if not checkpoints:
        raise RefusedError("no-sampler", "the list of checkpoints is empty: give at least one")
    if not domains:
        raise RefusedError("no-prompts", "the list of domains is empty: give at least one")
    refuse_repeated_names([each.name for each in checkpoints], "checkpoints")
    refuse_repeated_names([each.domain for each in domains], "domains")
    for each in checkpoints:
        refuse_other_kind(each.artifact, "checkpoint", f"sampler {each.name}")
    for domain in domains:
        refuse_other_kind(domain.prompts, "dataset", f"prompts of {domain.domain}")
        if domain.environment is None:
            raise RefusedError(
                "missing-environment",
                f"domain {domain.domain!r} has prompts but no environment, so its responses would "
                "have no grade: give the environment that its team collected",
            )
        refuse_other_kind(domain.environment, "environment", f"environment of {domain.domain}")


def _inputs(
    checkpoints: Sequence[NamedArtifact], domains: Sequence[DomainPrompts]
) -> tuple[Input, ...]:
    return (
        *(Input.of("sampler", each.artifact, each.name) for each in checkpoints),
        *(Input.of("prompts", each.prompts, each.domain) for each in domains),
        *(Input.of("environment", e.environment, e.domain) for e in domains if e.environment),
        *(item for e in domains for item in system_prompt_inputs(e.system_prompt, e.domain)),
    )


@dataclass(frozen=True)
class _PlannedPart:
    """Some prompts of one domain, for one checkpoint."""

    sampler: NamedArtifact
    domain: str
    prompts: Sequence[Prompt]
    system_prompt: str


def _work(
    runner: StepRunner,
    checkpoints: Sequence[NamedArtifact],
    domains: Sequence[DomainPrompts],
    settings: ResponseSettings,
) -> Iterator[_PlannedPart]:
    """Yield the parts in order: one checkpoint after the other, so that each is loaded once."""
    sets = [(each, _prompts(runner, each, settings)) for each in domains]
    count = settings.samples_per_prompt
    num_prompts = sum(len(prompts) for _, prompts in sets)
    size = max(1, part_size(len(checkpoints) * num_prompts * count) // count)
    for sampler in checkpoints:
        for domain, prompts in sets:
            for first in range(0, len(prompts), size):
                some = prompts[first : first + size]
                yield _PlannedPart(sampler, domain.domain, some, domain.system_prompt)


def _prompts(runner: StepRunner, domain: DomainPrompts, settings: ResponseSettings) -> list[Prompt]:
    prompts = stored_prompts(runner.store, domain.prompts)
    chosen = prompts[: settings.num_prompts or len(prompts)]
    return [replace(each, mode=settings.mode or each.mode) for each in chosen]


def _refuse_long(
    runner: StepRunner,
    checkpoints: Sequence[NamedArtifact],
    work: Sequence[_PlannedPart],
    settings: ResponseSettings,
) -> None:
    """Refuse a prompt that one of the checkpoints cannot take, before the first one samples."""
    room = settings.sampling.max_new_tokens
    for sampler in checkpoints:
        folder = runner.store.tree(sampler.artifact.digest)
        limit, tokenizer = max_positions(folder), load_tokenizer(folder)
        images = load_images(folder)
        for part in work:
            chat = chat_tokens(tokenizer, part.system_prompt, images=images)
            for prompt in part.prompts if part.sampler is sampler else ():
                # Rendered also where there is no limit: a mode or a role may be refused.
                ids = chat.prompt([vars(message) for message in prompt.messages], prompt.mode)
                if limit is not None:
                    refuse_long_prompt(part.domain, prompt, len(ids), room, limit)


def _opened(
    runner: StepRunner, domains: Sequence[DomainPrompts], settings: ResponseSettings
) -> AbstractContextManager[dict[str, EnvironmentWorker]]:
    return open_environments(
        runner.store,
        {each.domain: each.environment for each in domains if each.environment},
        allow_unconfined=settings.sampling.allow_unconfined,
    )


class _Studio:
    """Samples parts; a checkpoint is loaded when the first of its parts is due."""

    def __init__(
        self,
        runner: StepRunner,
        workers: Mapping[str, EnvironmentWorker],
        settings: ResponseSettings,
        seed: int,
        measurements: Measurements,
    ) -> None:
        self._runner, self._workers, self._settings = runner, workers, settings
        self._seed, self._measurements = seed, measurements
        self._loaded: tuple[str, Policy] | None = None
        self._players: dict[str, Player] = {}
        """Players of the loaded checkpoint, by system prompt."""

    def part(self, number: int, num_parts: int, part: _PlannedPart) -> list[ScoredResponse]:
        player = self._player(part)
        count = self._settings.samples_per_prompt
        drawn = [(prompt, sample) for prompt in part.prompts for sample in range(count)]
        rollouts = player.play(
            [Question(part.domain, prompt) for prompt, _ in drawn],
            torch.stack([_noise(player, self._seed, part, *each) for each in drawn]),
        )
        responses = [rollout.scored(part.sampler.name) for rollout in rollouts]
        grade = sum(each.scores[GRADE] for each in responses) / len(responses)
        self._measurements.add(
            number + 1,
            {
                f"grade/{part.domain}": grade,
                "truncated": sum(each.truncated for each in responses) / len(responses),
                "tokens_sampled": sum(each.num_tokens for each in responses),
            },
        )
        report(f"sample {part.sampler.name}", number + 1, num_parts, grade=grade)
        return responses

    def _player(self, part: _PlannedPart) -> Player:
        name = part.sampler.name
        if self._loaded is None or self._loaded[0] != name:
            self._loaded, self._players = None, {}  # frees the last one first
            report(f"sample {name}", 0, 0, message="load")
            folder = self._runner.store.tree(part.sampler.artifact.digest)
            policy = load_policy(folder, takes_images=True)
            nn.Module.to(policy.model, rank_device())
            self._measurements.notes[f"model/{name}"] = model_note(policy)
            self._loaded = (name, policy)
        if part.system_prompt not in self._players:
            self._players[part.system_prompt] = make_player(
                self._workers, self._loaded[1], self._settings.sampling, part.system_prompt
            )
        return self._players[part.system_prompt]


def _noise(player: Player, seed: int, part: _PlannedPart, prompt: Prompt, sample: int) -> Tensor:
    """Return uniform noise for one response."""
    own = seed_of(seed, part.sampler.name, part.domain, prompt.mode, prompt.id, sample)
    generator = torch.Generator().manual_seed(own)
    return torch.rand(player.noise_per_rollout, generator=generator)
