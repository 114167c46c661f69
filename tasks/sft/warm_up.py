"""Warm-up: trains the student briefly on a teacher's own answers before distillation.

A teacher from another SFT ancestry writes texts that the student never samples, and on-policy
distillation teaches only on the student's samples. A light SFT on the teacher's traces brings the
student to where the teacher's scores are useful (Nemotron 3 Ultra, 2606.15007).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from lineage.records.record import Derivation, Input
from lineage.records.system_prompt import store_system_prompt, system_prompt_inputs
from tasks.contracts.handover import Gated, Plan, PlannedTeacher, Remedy, WarmUpSettings
from tasks.contracts.planned import refuse_changed, refuse_recalled
from tasks.model.chat import ChatTokens, Tokens
from tasks.model.files import Policy, load_model, load_policy, save_policy
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.rollout.collect import Rollout
from tasks.rollout.domains import make_player, open_environment, play, stored_prompts
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings
from tasks.sft.train import supervise
from tasks.supervised.trainer_state import states_of
from tasks.supervised.training import Watch

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
    names = {teacher.name for teacher in gated.teachers if teacher.done is Remedy.WARM_UP}
    plan = gated.plan
    chosen = [teacher for teacher in plan.teachers if teacher.name in names]
    if not chosen:
        return plan
    derivation = Derivation(
        project=runner.project,
        kind="warm_up",
        inputs=(Input.of("start", plan.student), *_inputs(chosen)),
        source=source_digest("sft", "supervised"),
        settings={
            **settings.model_dump(mode="json"),
            "sampling": sampling.model_dump(mode="json"),
        },
        seed=seed,
    )

    for teacher in chosen:
        store_system_prompt(runner.store, teacher.system_prompt)

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        policy = load_policy(runner.store.tree(plan.student.digest))
        request = TraceRequest(policy.tokenizer, settings.prompts_per_teacher, sampling, seed)
        rows = [
            row
            for teacher in chosen
            for row in as_student_reads(policy.tokenizer, teacher, traces(runner, teacher, request))
        ]
        training = SftSettings(
            num_steps=settings.steps_per_teacher * len(chosen),
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            warmup_steps=settings.warmup_steps,
        )
        watch = Watch(measurements.add, states_of(runner, derivation, measurements))
        measurements.notes["tokens_trained"] = supervise(
            policy, rows, training, seed, folder / "trainer", watch
        )
        return save_policy(policy, folder / "model")

    warmed = runner.find_or_make(
        derivation, "checkpoint", make, owner="consolidation", notes=plan.made_for
    )
    return plan.model_copy(update={"student": warmed})


@dataclass(frozen=True)
class TraceRequest:
    """Sampling of the teachers' answers, with the student's settings."""

    tokenizer: PreTrainedTokenizerBase
    num_prompts: int
    sampling: SamplingSettings
    seed: int


def traces(runner: StepRunner, teacher: PlannedTeacher, request: TraceRequest) -> list[Rollout]:
    """Return a teacher's well-graded answers to prompts of its domain, or all if few are."""
    report("warm-up", 0, 0, message=f"answers of {teacher.name}")
    policy = Policy(load_model(runner.store.tree(teacher.checkpoint.digest)), request.tokenizer)
    prompts = stored_prompts(runner.store, teacher.train)[: request.num_prompts]
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
