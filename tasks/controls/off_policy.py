"""SFT of the student's start on what the teachers answer, for a given processor time.

Each teacher answers training prompts of its domain once. Answers with at least half of the full
grade are learned from; a domain without one gives its best answers. Where all answers of a teacher
are cut off, the control is left out: SFT on the other domains alone would fall behind MOPD in one
domain for want of data, which says nothing about SFT.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lineage.artifacts import Artifact
from tasks.contracts.controls import ControlOrder
from tasks.contracts.handover import Plan, PlannedTeacher, StageLabel
from tasks.contracts.named import NamedArtifact
from tasks.contracts.refusal import RefusedError
from tasks.controls.budget import seconds_of, steps_within
from tasks.platform.step_runner import StepRunner
from tasks.rejection_sampling.demonstrations import DemonstrationRule, Keep
from tasks.rejection_sampling.sample import sample_responses
from tasks.rejection_sampling.settings import DomainPrompts, ResponseSettings
from tasks.rejection_sampling.steps import select_demonstrations
from tasks.rollout.domains import stored_prompts
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings
from tasks.sft.steps import finetune

OWNER = "consolidation"
ANSWERING = 0.3
"""Maximum share of the time that goes into answers; the rest is for learning."""
_FEW = 16
"""Number of prompts from which the time of an answer follows."""
_LEAST_GRADE = 0.5
NOTHING_LEFT = "nothing-left"
"""Code of the refusal where answers leave nothing to learn from."""


@dataclass(frozen=True)
class OffPolicy:
    """SFT on the answers of a plan's teachers."""

    runner: StepRunner
    plan: Plan
    order: ControlOrder
    sampling: SamplingSettings
    seed: int

    def train(self, budget: float, name: str) -> tuple[Artifact, float]:
        """Return the student of SFT that takes ``budget`` processor seconds, answers included.

        The number is what both took.

        Raises:
            RefusedError: ``nothing-left`` if a teacher gave no answer to learn from.
        """
        answers = [
            self._answers(teacher, self._num_prompts(teacher, budget))
            for teacher in self.plan.teachers
        ]
        spent = sum(seconds_of(self.runner, each) for each in answers)
        data = self._demonstrations(answers)

        def tuned(num_steps: int) -> Artifact:
            settings = SftSettings(
                num_steps=num_steps,
                learning_rate=self.order.control_sft_learning_rate,
                warmup_steps=min(5, num_steps // 2),
            )
            stage = StageLabel(name=name, owner=OWNER)
            return finetune(self.runner, self.plan.student, data, settings, self.seed, stage)

        def seconds(num_steps: int) -> float:
            return seconds_of(self.runner, tuned(num_steps))

        made = tuned(steps_within(budget - spent, seconds))
        return made, spent + seconds_of(self.runner, made)

    def _num_prompts(self, teacher: PlannedTeacher, budget: float) -> int:
        """Return how many prompts a teacher answers in its part of the time for answers."""
        known = len(stored_prompts(self.runner.store, teacher.train))
        few = min(_FEW, known)
        each = seconds_of(self.runner, self._answers(teacher, few)) / few
        share = ANSWERING * budget / len(self.plan.teachers)
        return max(few, min(known, int(share / each)))

    def _answers(self, teacher: PlannedTeacher, num_prompts: int) -> Artifact:
        return sample_responses(
            self.runner,
            [NamedArtifact(name=teacher.name, artifact=teacher.checkpoint)],
            [
                DomainPrompts(
                    domain=teacher.domain,
                    prompts=teacher.train,
                    environment=teacher.environment,
                    system_prompt=teacher.system_prompt,
                )
            ],
            ResponseSettings(
                samples_per_prompt=1,
                num_prompts=num_prompts,
                mode=teacher.mode or "",
                sampling=self.sampling,
            ),
            self.seed,
            OWNER,
        )

    def _demonstrations(self, answers: Sequence[Artifact]) -> list[Artifact]:
        """Return what to learn from of each teacher; refuse answers that leave one with nothing."""
        data, silent = [], []
        for teacher, each in zip(self.plan.teachers, answers, strict=True):
            try:
                data.append(self._selected(each))
            except RefusedError as error:
                if error.code != NOTHING_LEFT:
                    raise
                silent.append(teacher.name)
        if silent:
            these = " and ".join(f"the {name} teacher" for name in silent)
            raise RefusedError(
                NOTHING_LEFT,
                f"SFT needs finished answers of every teacher, and all answers of {these} are cut "
                f"off (at most {self.sampling.max_new_tokens} tokens a turn): raise max_new_tokens",
            )
        return data

    def _selected(self, answers: Artifact) -> Artifact:
        """Return the answers to learn from, as demonstrations."""
        graded = DemonstrationRule(keep=Keep.CORRECT, least_score=_LEAST_GRADE)
        try:
            return select_demonstrations(self.runner, [answers], graded, self.seed, OWNER)
        except RefusedError as error:
            if error.code != NOTHING_LEFT:
                raise
        return select_demonstrations(
            self.runner, [answers], DemonstrationRule(keep=Keep.TOP), self.seed, OWNER
        )
