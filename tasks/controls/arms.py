"""The controls that learn on rollouts of their own: by RL without teachers, or by MOPD otherwise.

A step of each has as many rollouts as a step of the student's rounds, from the same prompts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lineage.artifacts import Artifact
from tasks.contracts.controls import Control, ControlOrder
from tasks.contracts.handover import Plan, PlannedTeacher, TrainingDomain
from tasks.controls.budget import seconds_of, steps_within
from tasks.controls.off_policy import OWNER
from tasks.mopd.round import distil_round, starting_from
from tasks.mopd.settings import DistilSettings, Divergence, RoundSettings
from tasks.onpolicy.settings import Correction, ImportanceMask, LoopSettings
from tasks.platform.step_runner import StepRunner
from tasks.rl.reinforce import reinforce
from tasks.rl.settings import RlSettings
from tasks.rl.variants import UnlikelySettings
from tasks.rollout.settings import SamplingSettings

GROUP = 8
"""Rollouts of a prompt in RL, as in a climb."""
OUTCOME_GROUP = 4
OUTCOME_WEIGHT = 0.5
"""Group and weight of MOPD with the outcome advantage; ours, no source states the weight."""


@dataclass(frozen=True)
class Arms:
    """Trains the controls of one consolidation."""

    runner: StepRunner
    plan: Plan
    settings: RoundSettings
    """Settings of the student's rounds."""
    order: ControlOrder
    seed: int
    budget: float
    """Processor seconds of the student's rounds."""
    before: Artifact | None = None
    """Student of SFT on the teachers' answers, where a control goes on from it."""

    def train(self, control: Control) -> Artifact:
        """Return the student of a control, found or made."""
        train: dict[Control, Callable[[], Artifact]] = {
            Control.OFF_POLICY_KD: self._on_frozen_rollouts,
            Control.MIX_RL: self._mix_rl,
            Control.CASCADE_RL: self._cascade_rl,
            Control.TEACHER_FREE: self._teacher_free,
            Control.SHUFFLED_TEACHERS: self._shuffled,
            Control.MOPD_AFTER_SFT: self._after_sft,
            Control.MOPD_WITH_OUTCOME: self._with_outcome,
        }
        return train[control]()

    def _on_frozen_rollouts(self) -> Artifact:
        """Return the student of the round on rollouts of its start, by the exact divergence."""
        exact = DistilSettings(
            divergence=Divergence.FULL_VOCABULARY,
            importance=ImportanceMask(correction=Correction.NONE),
            balance=self.settings.distil.balance,
        )
        # A server samples with the student's present weights, so this samples in the process.
        sampling = SamplingSettings(
            temperature=self.settings.sampling.temperature,
            max_new_tokens=self.settings.sampling.max_new_tokens,
            allow_unconfined=self.settings.sampling.allow_unconfined,
        )
        changed: dict[str, Any] = {"distil": exact, "frozen_rollouts": True, "sampling": sampling}
        return self._distilled(self.plan, self.settings.model_copy(update=changed), self.budget)

    def _mix_rl(self) -> Artifact:
        return self._reinforced(self.plan.student, self._domains(), self.budget)

    def _cascade_rl(self) -> Artifact:
        model, domains = self.plan.student, self._domains()
        for domain in domains:
            model = self._reinforced(model, [domain], self.budget / len(domains))
        return model

    def _teacher_free(self) -> Artifact:
        return self._reinforced(
            self.plan.student, self._domains(), self.budget, unlikely=UnlikelySettings()
        )

    def _shuffled(self) -> Artifact:
        return self._distilled(with_next_teachers(self.plan), self.settings, self.budget)

    def _after_sft(self) -> Artifact:
        assert self.before is not None, "the plan of the controls gives it"
        return self._distilled(starting_from(self.plan, self.before), self.settings, self.budget)

    def _with_outcome(self) -> Artifact:
        rollouts = self.settings.prompts_per_domain * self.settings.rollouts_per_prompt
        distil = self.settings.distil.model_copy(update={"outcome_weight": OUTCOME_WEIGHT})
        settings = self.settings.model_copy(
            update={
                "distil": distil,
                "prompts_per_domain": max(1, rollouts // OUTCOME_GROUP),
                "rollouts_per_prompt": OUTCOME_GROUP,
            }
        )
        return self._distilled(self.plan, settings, self.budget)

    def _domains(self) -> list[TrainingDomain]:
        """Return the plan's domains; the consolidation owns what is made of them."""
        return [teacher.training.model_copy(update={"owner": OWNER}) for teacher in self.plan.leads]

    def _reinforced(
        self,
        start: Artifact,
        domains: Sequence[TrainingDomain],
        budget: float,
        unlikely: UnlikelySettings | None = None,
    ) -> Artifact:
        """Return the policy of RL that takes ``budget`` seconds."""
        group = 1 if unlikely else GROUP
        rollouts = self.settings.prompts_per_domain * self.settings.rollouts_per_prompt

        def trained(num_steps: int) -> Artifact:
            settings = RlSettings(
                loop=self._loop(num_steps, self.order.control_rl_learning_rate),
                sampling=self.settings.sampling,
                # Several domains share a step of the rounds, one domain has it alone.
                prompts_per_step=max(1, rollouts * len(self.plan.leads) // len(domains) // group),
                rollouts_per_prompt=group,
                unlikely=unlikely,
            )
            ladder = reinforce(self.runner, start, domains, settings, self.seed, {})
            return ladder[-1].checkpoint

        return trained(steps_within(budget, partial(self._seconds, trained)))

    def _distilled(self, plan: Plan, settings: RoundSettings, budget: float) -> Artifact:
        """Return the student of a round that takes ``budget`` seconds."""
        # No audit asks a control, so its ledger holds no displacements.
        ledger = settings.ledger.model_copy(update={"displacements": False})

        begun = starting_from(plan, plan.student)  # a domain that the start teaches

        def distilled(num_steps: int) -> Artifact:
            loop = self._loop(num_steps, settings.loop.learning_rate)
            changed: dict[str, Any] = {"loop": loop, "ledger": ledger, "ladder_stages": 1}
            return distil_round(self.runner, begun, settings.model_copy(update=changed), self.seed)

        return distilled(steps_within(budget, partial(self._seconds, distilled)))

    def _loop(self, num_steps: int, learning_rate: float) -> LoopSettings:
        warmup = min(self.settings.loop.warmup_steps, num_steps // 2)
        return self.settings.loop.model_copy(
            update={
                **{"num_steps": num_steps, "learning_rate": learning_rate},
                **{"warmup_steps": warmup, "rung_every": 0},
            }
        )

    def _seconds(self, train: Callable[[int], Artifact], num_steps: int) -> float:
        return seconds_of(self.runner, train(num_steps))


def with_next_teachers(plan: Plan) -> Plan:
    """Return a plan in which each teacher teaches the next domain in place of its own.

    What is taught then is not what the domain needs. Whatever still gets better does so for
    reasons that no teacher of the domain is needed for.
    """

    def taught(teacher: PlannedTeacher, by: PlannedTeacher) -> PlannedTeacher:
        return teacher.model_copy(
            update={
                "checkpoint": by.checkpoint,
                "is_self": by.is_self,
                "ladder": by.ladder,
                "ladder_kl": [],
                "system_prompt": by.system_prompt,
            }
        )

    others = [*plan.teachers[1:], *plan.teachers[:1]]
    return plan.model_copy(
        update={
            "teachers": [taught(own, by) for own, by in zip(plan.teachers, others, strict=True)]
        }
    )
