"""Collective operations of a run's ranks: find or make a recorded step, and sample rollouts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter
from torch import Tensor
from transformers import PreTrainedModel

from lineage.artifacts import Artifact
from lineage.records.record import Derivation
from tasks.contracts.refusal import RefusedError
from tasks.onpolicy.distributed.served import refuse_other_policy
from tasks.onpolicy.distributed.sharding import replica
from tasks.platform.measurements import Measurements
from tasks.platform.ranks import agreed, exchange, num_ranks, rank
from tasks.platform.step_runner import StepRunner
from tasks.rollout.collect import Player, Question, Rollout
from tasks.rollout.environment import Grade, Turn
from tasks.rollout.sampling.vllm.sampler import VllmSampler
from tasks.rollout.sampling.vllm.weights import together
from tasks.rollout.settings import SamplingSettings


class DistributedStepRunner(StepRunner):
    """A step runner for any number of ranks: each of its calls is collective."""

    def find(self, derivation: Derivation) -> Artifact | None:
        """Return what the first rank finds, so that all ranks agree even if the store changes.

        Raises:
            RefusedError: if ranks look for different results: their settings or code differ.
        """
        refuse_different("derivations", derivation.digest())
        return _agreed(super().find(derivation) if rank() == 0 else None)

    @contextmanager
    def shown_live(
        self, derivation: Derivation, measurements: Measurements, owner: str
    ) -> Iterator[None]:
        """Show the first rank's measurements; they are the same on all ranks."""
        if rank() != 0:
            yield
            return
        with super().shown_live(derivation, measurements, owner):
            yield

    def commit(
        self,
        derivation: Derivation,
        kind: str,
        output: Path,
        started: str,
        measurements: Measurements,
        owner: str = "",
    ) -> Artifact:
        """Store the first rank's output and write its record."""
        artifact = None
        if rank() == 0:
            artifact = super().commit(derivation, kind, output, started, measurements, owner)
        stored = _agreed(artifact)
        assert stored is not None
        return stored


def refuse_different(what: str, value: str) -> None:
    """Raise RefusedError if ranks have different values, which must be the same. Collective."""
    values = exchange(value)
    if len(set(values)) > 1:
        raise RefusedError(
            "ranks-differ",
            f"the ranks of this run have different {what} ({', '.join(values)}), so they would not "
            "train one student: start all of them with the same plan, settings, seed and code",
        )


def _agreed(artifact: Artifact | None) -> Artifact | None:
    message = agreed(artifact.model_dump(mode="json") if artifact is not None else None)
    return Artifact.model_validate(message) if message is not None else None


class SharedPlayer:
    """A player that deals its questions to the ranks; all ranks get the same rollouts.

    Each question brings its noise, so a rollout does not depend on the rank that samples it, except
    that other rows in a batch change floating-point rounding. With transformers every rank holds
    the whole policy while it samples; with vLLM the servers do, and no rank.
    """

    def __init__(self, player: Player, model: PreTrainedModel, sampling: SamplingSettings) -> None:
        """Sample with ``player``; ``model`` is its policy."""
        self._player, self._model, self._sampling = player, model, sampling

    @property
    def noise_per_rollout(self) -> int:
        """Number of uniform numbers that a rollout may need."""
        return self._player.noise_per_rollout

    def refuse_too_long(self, questions: Sequence[Question]) -> None:
        """Raise ValueError naming a question that leaves no room for a turn in the context."""
        self._player.refuse_too_long(questions)

    def play(self, questions: Sequence[Question], noise_RT: Tensor) -> list[Rollout]:
        """Sample each question once, on one rank; return all rollouts in order. Collective."""
        mine = slice(rank(), None, num_ranks())
        return gathered(questions, self._played(questions[mine], noise_RT[mine]))

    def _played(self, questions: Sequence[Question], noise_RT: Tensor) -> list[Rollout]:
        """Return this rank's rollouts. Collective."""
        sampler = self._player.sampler
        if not isinstance(sampler, VllmSampler):
            with replica(self._model):
                return self._player.play(questions, noise_RT) if questions else []
        sampler.update()
        own: list[Rollout] = []

        def sample() -> None:
            own.extend(self._player.play(questions, noise_RT) if questions else [])

        together(sample)
        refuse_other_policy(self._model, own, self._sampling)
        return own


def gathered(questions: Sequence[Question], own: Sequence[Rollout]) -> list[Rollout]:
    """Return all rollouts in order; ``own`` are those of every n-th question. Collective."""
    played = [_LIST.validate_json(text) for text in exchange(dump_rollouts(own))]
    return [
        played[place % num_ranks()][place // num_ranks()].of(question)
        for place, question in enumerate(questions)
    ]


def read_rollouts(questions: Sequence[Question], text: str) -> list[Rollout]:
    """Return the rollouts of these questions that ``dump_rollouts`` wrote, bit for bit."""
    played = _LIST.validate_json(text)
    return [one.of(question) for one, question in zip(played, questions, strict=True)]


class _Played(BaseModel):
    """A rollout without its question, which every rank has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    turns: tuple[Turn, ...]
    grade: Grade
    ids: tuple[int, ...]
    is_response: tuple[bool, ...]
    sampler_log_probs: tuple[float, ...]
    truncated: bool
    without_room: bool

    def of(self, question: Question) -> Rollout:
        """Return the rollout."""
        return Rollout(
            domain=question.domain,
            prompt=question.prompt,
            turns=self.turns,
            grade=self.grade,
            ids=self.ids,
            is_response=self.is_response,
            sampler_log_probs=self.sampler_log_probs,
            truncated=self.truncated,
            without_room=self.without_room,
        )


_LIST = TypeAdapter(list[_Played])


def dump_rollouts(rollouts: Sequence[Rollout]) -> str:
    """Return rollouts as JSON, without their questions and how stale they are."""
    played = [
        _Played(
            turns=rollout.turns,
            grade=rollout.grade,
            ids=rollout.ids,
            is_response=rollout.is_response,
            sampler_log_probs=rollout.sampler_log_probs,
            truncated=rollout.truncated,
            without_room=rollout.without_room,
        )
        for rollout in rollouts
    ]
    return _LIST.dump_json(played).decode()
