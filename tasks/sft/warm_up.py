"""Warm-up: trains the student on a teacher's own answers before distillation, in cycles.

A teacher from another SFT ancestry writes texts that the student never samples, and on-policy
distillation teaches only on the student's samples. A light SFT on the teacher's traces brings the
student to where the teacher's scores are useful (Nemotron 3 Ultra, 2606.15007).

How much SFT that takes depends on how new the domain is. So each cycle is a record of its own, and
the validation prompts decide after it whether another one follows. A domain that the fork point has
never seen takes several; one that it words differently takes one or two.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from transformers import PreTrainedTokenizerBase

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from lineage.records.system_prompt import store_system_prompt, system_prompt_inputs
from tasks.contracts.handover import Gated, Plan, PlannedTeacher
from tasks.contracts.planned import refuse_changed, refuse_recalled
from tasks.contracts.remedies import LEAST_AFTER_REMEDY, WarmUpSettings, warmed_teachers
from tasks.model.chat import ChatTokens, Tokens
from tasks.model.devices import on_rank_device
from tasks.model.files import Policy, load_model, load_policy, save_policy
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.rollout.collect import Rollout
from tasks.rollout.domains import make_player, open_environment, play, stored_prompts
from tasks.rollout.environment import Prompt
from tasks.rollout.settings import SamplingSettings
from tasks.rollout.validation import Validation, read_scores, validation_scores
from tasks.sft.settings import SftSettings
from tasks.sft.train import supervise
from tasks.supervised.trainer_state import states_of
from tasks.supervised.training import Watch, logged

_LEAST = 16
"""Minimum number of well-graded answers; with fewer, all of a teacher's answers are used."""


def warm_up_student(
    runner: StepRunner,
    gated: Gated,
    settings: WarmUpSettings,
    sampling: SamplingSettings,
    seed: int,
) -> Plan:
    """Return the plan with a student that is warmed up on the teachers that need it; often none.

    It is the first step after the approval, which may have taken days, so it checks for recalls
    again.

    Raises:
        RecalledError: if a teacher was recalled since the plan.
        LineageError: for a plan that differs from the stored and approved one.
    """
    refuse_changed(runner, gated.plan)
    refuse_recalled(runner, gated.plan)
    plan = gated.plan
    teachers = warmed_teachers(gated)
    if not teachers:
        return plan
    course = [plan.student]
    how = Validation(plan.student, sampling, seed)
    for cycle in range(settings.most_cycles):
        warming = _Cycle(runner, plan, teachers, settings, sampling, seed, cycle)
        course.append(warming.train(course[-1]))
        is_last = cycle + 1 == settings.most_cycles
        if is_last or all(_has_enough(runner, course, teacher, how) for teacher in teachers):
            break
    return plan.model_copy(update={"student": course[-1]})


def _has_enough(
    runner: StepRunner, course: Sequence[Artifact], teacher: PlannedTeacher, how: Validation
) -> bool:
    """Return whether a teacher needs no further cycle, by the validation prompts of its domain."""

    def mean(checkpoint: Artifact) -> float:
        return fmean(read_scores(runner, validation_scores(runner, checkpoint, teacher, how)))

    goal = mean(teacher.checkpoint)
    return has_enough([mean(checkpoint) for checkpoint in course], goal)


def has_enough(course: Sequence[float], teacher: float) -> bool:
    """Return whether further cycles of a warm-up would bring nothing.

    Args:
        course: Score of the student at the start and after each cycle, at least two.
        teacher: Score of the teacher on the same prompts.
    """
    start, before, now = course[0], course[-2], course[-1]
    if now >= teacher:
        return True
    # Below the least share a flat course proves nothing: a new domain rises late.
    return now <= before and now >= start + LEAST_AFTER_REMEDY * (teacher - start)


@dataclass(frozen=True)
class _Cycle:
    """One cycle of a warm-up."""

    runner: StepRunner
    plan: Plan
    teachers: Sequence[PlannedTeacher]
    settings: WarmUpSettings
    sampling: SamplingSettings
    seed: int
    number: int
    """Counted from 0."""

    def train(self, student: Artifact) -> Artifact:
        """Return the student after SFT on the teachers' answers, found or made."""
        derivation = Derivation(
            project=self.runner.project,
            kind="warm_up",
            inputs=(Input.of("start", student), *_inputs(self.teachers)),
            source=source_digest("sft", "supervised"),
            settings={
                # Whether another cycle follows changes nothing in this one.
                **self.settings.model_dump(mode="json", exclude={"most_cycles"}),
                "cycle": self.number,
                "sampling": self.sampling.model_dump(mode="json"),
            },
            seed=self.seed,
        )
        notes = self.plan.made_for
        for teacher in self.teachers:
            store_system_prompt(self.runner.store, teacher.system_prompt)

        def make(folder: Path, measurements: Measurements) -> Path:
            use_configured_threads()
            policy = load_policy(self.runner.store.tree(student.digest))
            rows = self._rows(policy.tokenizer)
            training = self._training()
            log = logged("warm-up", training.num_steps, measurements)
            watch = Watch(log, states_of(self.runner, derivation, measurements))
            measurements.notes["tokens_trained"] = supervise(
                policy, rows, training, self.seed, folder / "trainer", watch
            )
            return save_policy(policy, folder / "model")

        return self.runner.find_or_make(
            derivation, "checkpoint", make, owner="consolidation", notes=notes
        )

    def _training(self) -> SftSettings:
        settings = self.settings
        return SftSettings(
            num_steps=settings.steps_per_teacher * len(self.teachers),
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            warmup_steps=settings.warmup_steps,
        )

    def _rows(self, tokenizer: PreTrainedTokenizerBase) -> list[Tokens]:
        request = TraceRequest(
            tokenizer, self.settings.prompts_per_teacher, self.sampling, self.seed, self.number
        )
        return [
            row
            for teacher in self.teachers
            for row in as_student_reads(tokenizer, teacher, traces(self.runner, teacher, request))
        ]


@dataclass(frozen=True)
class TraceRequest:
    """Sampling of the teachers' answers, with the student's settings."""

    tokenizer: PreTrainedTokenizerBase
    num_prompts: int
    sampling: SamplingSettings
    seed: int
    cycle: int = 0
    """Number of the cycle, counted from 0; each takes the next part of the training prompts."""

    def drawn(self, prompts: Sequence[Prompt]) -> Sequence[Prompt]:
        """Return this cycle's part of the prompts; after the last part comes the first again."""
        count = min(self.num_prompts, len(prompts))
        first = self.cycle * count
        return [prompts[place % len(prompts)] for place in range(first, first + count)]


def traces(runner: StepRunner, teacher: PlannedTeacher, request: TraceRequest) -> list[Rollout]:
    """Return a teacher's well-graded answers to prompts of its domain, or all if few are."""
    report("warm-up", 0, 0, message=f"answers of {teacher.name}")
    model = on_rank_device(load_model(runner.store.tree(teacher.checkpoint.digest)))
    policy = Policy(model, request.tokenizer)
    prompts = request.drawn(stored_prompts(runner.store, teacher.train))
    with open_environment(
        runner.store,
        teacher.environment,
        teacher.domain,
        allow_unconfined=request.sampling.allow_unconfined,
    ) as worker:
        player = make_player(
            {teacher.domain: worker}, policy, request.sampling, teacher.system_prompt
        )
        rollouts = play(player, teacher.domain, prompts, request.seed)
    well = [rollout for rollout in rollouts if rollout.grade.score > 0.5]
    return well if len(well) >= _LEAST else rollouts


def as_student_reads(
    tokenizer: PreTrainedTokenizerBase, teacher: PlannedTeacher, rollouts: Sequence[Rollout]
) -> Iterator[Tokens]:
    """Yield a teacher's answers behind the prompts without the teacher's system prompt."""
    chat = ChatTokens(tokenizer)
    for rollout in rollouts:
        if not teacher.system_prompt:
            yield Tokens(rollout.ids, rollout.is_response)
            continue
        messages = [vars(message) for message in rollout.prompt.messages]
        own = tuple(chat.prompt(messages, rollout.prompt.mode))
        yield Tokens(*rollout.behind(own))


def _inputs(teachers: Sequence[PlannedTeacher]) -> Iterator[Input]:
    for teacher in teachers:
        yield Input.of("teacher", teacher.checkpoint, teacher.name)
        yield Input.of("prompts", teacher.train, teacher.domain)
        yield Input.of("environment", teacher.environment, teacher.domain)
        yield from system_prompt_inputs(teacher.system_prompt, teacher.name)
