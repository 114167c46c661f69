"""Rollouts that are sampled one step ahead: servers sample the next step's while this one trains.

What overlaps is the wait for servers, which hold a copy of the weights, and for environments. A
sampler in this process would share its cores or its GPU with the training, so it is refused
(``tasks.onpolicy.settings.refuse_staleness``).

A thread of each rank waits for the rank's own share of the answers. It reads no weights and sends
nothing to other ranks. Weights go out before it starts, and the answers are exchanged after it
ends, both in the main thread and on all ranks.

A saved state holds the rollouts that the next step will learn from, because the weights that
sampled them are gone by then.

Shapes: R rollouts, T noise numbers for each.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

from torch import Tensor
from transformers import PreTrainedModel

from tasks.onpolicy.distributed.collective import (
    SharedPlayer,
    dump_rollouts,
    gathered,
    read_rollouts,
)
from tasks.onpolicy.distributed.served import refuse_other_policy
from tasks.platform.ranks import num_ranks, rank
from tasks.rollout.collect import Player, Question, Rollout
from tasks.rollout.domains import Mixture, Plays
from tasks.rollout.environment import Grade
from tasks.rollout.sampling.vllm.probe import most_shared
from tasks.rollout.sampling.vllm.sampler import VllmSampler
from tasks.rollout.sampling.vllm.weights import together
from tasks.rollout.settings import SamplingSettings

_PROBED_TOKENS = 8
"""Number of tokens of a turn that are compared with the policy's log-probabilities. The training
waits for them."""


class AheadPlayer(SharedPlayer):
    """A player with servers that goes on while this process trains."""

    def __init__(self, player: Player, model: PreTrainedModel, sampling: SamplingSettings) -> None:
        """Sample with ``player``; ``model`` is its policy, of any number of ranks."""
        assert isinstance(player.sampler, VllmSampler), "refuse_staleness refuses other engines"
        super().__init__(player, model, sampling)
        self._sampler = player.sampler
        self._sampler.wait_for_updates()

    def play(self, questions: Sequence[Question], noise_RT: Tensor) -> list[Rollout]:
        """Play each question once; return the graded rollouts in order. Collective."""
        return self.begin(questions, noise_RT)()

    def begin(self, questions: Sequence[Question], noise_RT: Tensor) -> Callable[[], list[Rollout]]:
        """Send the policy's weights, and begin to play each question with them. Collective.

        Returns:
            A function that waits for the rollouts and returns them in order. Collective.
        """
        mine = slice(rank(), None, num_ranks())
        own, noise_own = questions[mine], noise_RT[mine]
        self._sampler.update()
        self._compare(own, noise_own)
        waiting: Future[list[Rollout]] = Future()
        Thread(target=self._fill, args=(waiting, own, noise_own), daemon=True).start()

        def wait() -> list[Rollout]:
            played: list[Rollout] = []
            together(lambda: played.extend(waiting.result()))
            return gathered(questions, played)

        return wait

    def _fill(
        self, waiting: Future[list[Rollout]], questions: Sequence[Question], noise_RT: Tensor
    ) -> None:
        """Play this rank's questions; an error is raised where the rollouts are waited for."""
        try:
            waiting.set_result(self._player.play(questions, noise_RT) if questions else [])
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            waiting.set_exception(error)

    def _compare(self, questions: Sequence[Question], noise_RT: Tensor) -> None:
        """Compare the first tokens of some turns with the policy that was sent. Collective."""
        contexts = self._player.contexts(questions)
        places = most_shared(contexts)
        begun: list[Rollout] = []

        def sample() -> None:
            if not places:
                return
            chosen = [contexts[place] for place in places]
            most = min(_PROBED_TOKENS, self._sampling.max_new_tokens)
            turns = self._sampler.begun(chosen, noise_RT[places], most)
            begun.extend(
                Rollout(
                    domain=questions[place].domain,
                    prompt=questions[place].prompt,
                    turns=(),
                    grade=Grade(0.0),
                    ids=(*context, *turn.ids),
                    is_response=(*[False] * len(context), *[True] * len(turn.ids)),
                    sampler_log_probs=(*[0.0] * len(context), *turn.log_probs),
                    truncated=True,
                )
                for place, context, turn in zip(places, chosen, turns, strict=True)
            )

        together(sample)
        refuse_other_policy(self._model, begun, self._sampling)


def player_of_run(
    alone: Player, model: PreTrainedModel, sampling: SamplingSettings, staleness: int
) -> Plays:
    """Return a run's player, for any number of ranks; ``alone`` is that of one process."""
    if staleness:
        return AheadPlayer(alone, model, sampling)
    return SharedPlayer(alone, model, sampling) if num_ranks() > 1 else alone


@dataclass(frozen=True)
class AheadStage:
    """What draws the steps from ``first`` on, and what plays them."""

    first: int
    mixture: Mixture
    player: AheadPlayer


class AheadDraws:
    """Draws of a run, each of which may begin before its step. It is a part of a run's state."""

    def __init__(self, stages: Sequence[AheadStage]) -> None:
        """Draw by ``stages``, in order."""
        self._stages = stages
        self._begun: tuple[int, Callable[[], list[Rollout]]] | None = None

    def begin(self, step: int) -> None:
        """Begin to sample the rollouts of a step with the current policy. Collective."""
        stage = self._at(step)
        self._begun = step, stage.player.begin(*stage.mixture.drawn(step))

    def rollouts(self, step: int) -> list[Rollout]:
        """Return the rollouts of a step, those that have begun or new ones. Collective."""
        if self._begun is None:
            return self._at(step).mixture.rollouts(step)
        begun, wait = self._begun
        assert begun == step, f"step {begun} has begun, and {step} is wanted"
        self._begun = None
        return [replace(rollout, staleness=1) for rollout in wait()]

    def replacements(
        self, step: int, attempt: int, counts: Mapping[str, int], used: Set[tuple[str, str]]
    ) -> list[Rollout]:
        """Sample other prompts of a step with the current policy, before the next one begins."""
        return self._at(step).mixture.replacements(step, attempt, counts, used)

    def save(self, folder: Path) -> None:
        """Write the rollouts that have begun, when they are there. Collective."""
        if self._begun is None:
            return
        step, wait = self._begun
        played = wait()
        self._begun = step, lambda: played
        (folder / f"{step}.json").write_text(dump_rollouts(played), "utf-8")

    def load(self, folder: Path) -> None:
        """Go on with the rollouts that ``save`` wrote."""
        for file in folder.iterdir():
            step = int(file.stem)
            questions, _ = self._at(step).mixture.drawn(step)
            played = read_rollouts(questions, file.read_text("utf-8"))
            self._begun = step, lambda played=played: played

    def _at(self, step: int) -> AheadStage:
        return [stage for stage in self._stages if stage.first <= step][-1]
