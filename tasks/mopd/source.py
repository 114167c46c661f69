"""What a round samples: the prompts of its domains, in their environments, counted by domain."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import JsonValue

from tasks.contracts.handover import Plan, PlannedTeacher
from tasks.contracts.refusal import RefusedError
from tasks.model.files import Policy
from tasks.mopd.routing import Label
from tasks.mopd.settings import RoundSettings
from tasks.onpolicy.distributed.ahead import AheadDraws, AheadPlayer, AheadStage, player_of_run
from tasks.onpolicy.loop import RolloutSource
from tasks.onpolicy.teacher_prompts import TeacherPrompts, room_for_teachers
from tasks.platform.step_runner import StepRunner
from tasks.rollout.collect import Question, Rollout
from tasks.rollout.domains import (
    DomainShare,
    Mixture,
    confinement_note,
    make_player,
    open_environments,
    positions_of,
    stored_prompts,
)
from tasks.rollout.environment import Prompt


def teacher_prompts(policy: Policy, teachers: Iterable[PlannedTeacher]) -> TeacherPrompts:
    """Return the prompts as a round's teachers read them."""
    return TeacherPrompts(policy.tokenizer, {t.name: t.system_prompt for t in teachers})


class CountedMixture:
    """A mixture that counts the response tokens of each domain."""

    def __init__(
        self,
        mixture: RolloutSource,
        labels: Collection[Label],
        longest_prompt: int,
        confinement: JsonValue,
        ahead: AheadDraws | None = None,
    ) -> None:
        """Take the mixture, the label and the most tokens of a prompt in it, and the confinement.

        ``ahead`` is the same mixture if it samples while the round trains.
        """
        self._mixture, self.labels, self.confinement = mixture, labels, confinement
        self.longest_prompt = longest_prompt
        self.ahead = ahead
        self._tokens: Counter[str] = Counter()

    def rollouts(self, step: int) -> list[Rollout]:
        """Sample the rollouts of a step."""
        played = self._mixture.rollouts(step)
        for rollout in played:
            self._tokens[rollout.domain] += rollout.num_response_tokens
        return played

    def save(self, folder: Path) -> None:
        """Write the counts."""
        (folder / "tokens.json").write_text(json.dumps(self._tokens), "utf-8")

    def load(self, folder: Path) -> None:
        """Continue from the counts that ``save`` wrote."""
        self._tokens = Counter(json.loads((folder / "tokens.json").read_text("utf-8")))

    @property
    def tokens(self) -> int:
        """Response tokens of all domains so far."""
        return self._tokens.total()

    def routed(self) -> dict[str, float]:
        """Return the tokens of each domain as metrics."""
        return {f"tokens_routed/{domain}": float(n) for domain, n in self._tokens.items()}


@contextmanager
def open_source(
    runner: StepRunner,
    plan: Plan,
    policy: Policy,
    settings: RoundSettings,
    seed: int,
) -> Iterator[CountedMixture]:
    """Open the domains' environments, and yield the mixture of their prompts.

    Raises:
        ValueError: for a prompt of any split that leaves no room for a turn of the settings, in the
            student or in a teacher with a system prompt.
    """
    teachers = plan.leads
    with open_environments(
        runner.store,
        {teacher.domain: teacher.environment for teacher in teachers},
        allow_unconfined=settings.sampling.allow_unconfined,
    ) as environments:
        shares = [
            DomainShare(
                teacher.domain,
                _prompts(runner, teacher),
                settings.prompts_per_domain,
            )
            for teacher in teachers
        ]
        reserved = room_for_teachers(
            teacher_prompts(policy, plan.teachers),
            plan.teachers,
            positions_of(policy),
            lambda teacher: runner.store.tree(teacher.checkpoint.digest),
        )
        alone = make_player(environments, policy, settings.sampling, reserved=reserved)
        for teacher in teachers:  # what is measured after the round must not fail only then
            for split in (teacher.validation, teacher.evaluation):
                prompts = stored_prompts(runner.store, split)
                alone.refuse_too_long([Question(teacher.domain, prompt) for prompt in prompts])
        player = player_of_run(alone, policy.model, settings.sampling, settings.loop.staleness)
        mixture = Mixture(player, shares, settings.rollouts_per_prompt, seed)
        ahead = None
        if isinstance(player, AheadPlayer):
            ahead = AheadDraws([AheadStage(1, mixture, player)])
        labels = {(share.domain, prompt.mode) for share in shares for prompt in share.prompts}
        note = confinement_note(environments.values())
        questions = [Question(share.domain, prompt) for share in shares for prompt in share.prompts]
        longest = max(map(len, alone.contexts(questions)))
        yield CountedMixture(ahead or mixture, labels, longest, note, ahead)


def _prompts(runner: StepRunner, teacher: PlannedTeacher) -> list[Prompt]:
    try:
        return stored_prompts(runner.store, teacher.train)
    except ValueError as error:
        raise RefusedError(
            "unusable-prompts",
            f"the prompts of the domain {teacher.domain!r} cannot be used: {error}",
        ) from error
