"""The collaborators of one MOPD round: teachers, environments, loop, ledger and checkpoints."""

import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue
from torch import nn

from tasks.contracts.handover import Plan, PlannedTeacher
from tasks.contracts.refusal import RefusedError
from tasks.ledger.estimate import (
    RunEstimate,
    RunSize,
    check_fits,
    estimate,
    free_memory,
    memory_speed,
)
from tasks.ledger.schema import StoredPrecision
from tasks.ledger.writer import LedgerWriter
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy
from tasks.model.settings import Precision
from tasks.mopd.losses.top_k import check_support
from tasks.mopd.objective import Distillation
from tasks.mopd.round_models import RoundModels
from tasks.mopd.routing import Label, Route, Routing
from tasks.mopd.settings import Divergence, RoundSettings
from tasks.mopd.teachers import open_round_teachers
from tasks.onpolicy.distributed.collective import SharedPlayer
from tasks.onpolicy.learner import Learner, num_trained
from tasks.onpolicy.ledger_recorder import LedgerRecorder
from tasks.onpolicy.loop import LoopCallbacks, LoopObservers, train
from tasks.onpolicy.run_monitor import RunMonitor
from tasks.onpolicy.teacher_prompts import TeacherPrompts, room_for_teachers
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.ranks import num_ranks, rank_device
from tasks.platform.resources import free_storage
from tasks.platform.resume import JsonPart, Part, RandomNumbers, States
from tasks.platform.step_runner import StepRunner
from tasks.rollout.collect import Question, Rollout
from tasks.rollout.domains import (
    DomainShare,
    Mixture,
    Plays,
    confinement_note,
    make_player,
    open_environment,
    positions_of,
    stored_prompts,
)
from tasks.rollout.environment import Prompt


@dataclass(frozen=True)
class RoundSpec:
    """The specification of a round: its models, its settings and its seed."""

    models: RoundModels
    settings: RoundSettings
    seed: int


class RoundTrainer:
    """The collaborators of one round's loop."""

    def __init__(
        self,
        runner: StepRunner,
        spec: RoundSpec,
        policy: Policy,
        ledger: Path,
        source: "CountedMixture",
    ) -> None:
        """Open the teachers, and check everything that can be checked before the first rollout."""
        self._settings, self._source = spec.settings, source
        settings, seed, labels = spec.settings, spec.seed, source.labels
        chat = ChatTokens(policy.tokenizer)
        self._objective = open_objective(runner, spec, policy, chat.control_ids, labels)
        health = settings.health
        if settings.frozen_rollouts:  # the sampler is another model than the learner, and meant so
            health = health.model_copy(update={"most_sampler_gap": math.inf})
        self._run_monitor = RunMonitor(health, policy.model.config.vocab_size, _warn)
        if num_ranks() == 1:
            nn.Module.to(policy.model, rank_device())  # shards move there one by one
        self.needed = self._check_size(runner, policy)
        self.learner = Learner(
            policy.model,
            settings.loop,
            settings.sampling.temperature,
            chat.pad_id,
            self._objective.sources,
            record=settings.ledger.displacements,
        )
        loop = settings.loop  # an adapter's ledger is of the adapter, which is saved in fp32
        saved = StoredPrecision(loop.saved_precision if loop.adapter is None else Precision.FP32)
        self._writer = LedgerWriter(ledger, settings.ledger, self.learner.optimizer, seed, saved)
        self._recorder = LedgerRecorder(self._writer, seed, settings.loop.num_steps)

    def parts(self, measurements: Measurements) -> dict[str, Part]:
        """Return all parts of the state that the next step depends on."""
        objective = JsonPart(self._objective.state, self._objective.load_state)
        return {
            "learner": self.learner,
            "objective": objective,
            "health": JsonPart(self._run_monitor.state, self._run_monitor.load_state),
            "ledger": self._writer,
            "measurements": measurements,
            "tokens": self._source,
            "random": RandomNumbers(),
        }

    def train(self, measurements: Measurements, states: States) -> None:
        """Run the loop to its end."""
        callbacks = LoopCallbacks(
            _MetricsRecorder(self._settings, measurements), lambda _step: None
        )
        observers = LoopObservers(self._recorder, states, self._run_monitor)
        train(self.learner, self._objective, self._source, callbacks, observers)

    def _check_size(self, runner: StepRunner, policy: Policy) -> RunEstimate:
        """Report the memory that the run needs, once, and refuse a run that does not fit."""
        device, settings = rank_device(), self._settings
        size = RunSize(
            num_parameters=num_trained(policy.model, settings.loop),
            num_sources=len(self._objective.sources),
            extra_sources=self._objective.extra_sources,
            num_steps=settings.loop.num_steps,
            updates_per_step=settings.loop.updates_per_step,
            decays=settings.loop.weight_decay > 0,
        )
        needed = estimate(size, settings.ledger, memory_speed(device))
        # A report without a total is never thinned out.
        report("mopd", 0, 0, message=str(needed))
        uri = runner.store.uri
        room = None if "://" in uri else free_storage(Path(uri))  # a bucket has no known end
        check_fits(needed, free_memory(device), room)
        return needed


def open_objective(
    runner: StepRunner,
    spec: RoundSpec,
    policy: Policy,
    control_ids: Sequence[int],
    labels: Iterable[Label],
) -> Distillation:
    """Open a round's teachers, and route every label of its prompts to them."""
    planned, settings = spec.models.plan.teachers, spec.settings
    prompts = teacher_prompts(policy, planned)
    routing = Routing((Route(t.domain, t.name, t.share, t.mode) for t in planned), prompts)
    routing.check(labels, [teacher.name for teacher in planned])
    if settings.distil.divergence is Divergence.TOP_K:
        check_support(settings.distil.top_k, control_ids, policy.model.config.vocab_size)
    return Distillation(
        routing,
        open_round_teachers(spec.models, settings, policy, runner.store),
        settings.distil,
        settings.loop,
        control_ids,
        settings.health.recheck_every,
    )


def teacher_prompts(policy: Policy, teachers: Iterable[PlannedTeacher]) -> TeacherPrompts:
    """Return the prompts as a round's teachers read them."""
    return TeacherPrompts(policy.tokenizer, {t.name: t.system_prompt for t in teachers})


def _warn(message: str) -> None:
    report("mopd", 0, 0, message=f"warning: {message}")


class CountedMixture:
    """A mixture that counts the response tokens of each domain."""

    def __init__(self, mixture: Mixture, labels: Collection[Label], confinement: JsonValue) -> None:
        """Take the mixture, the label of every prompt in it, and the confinement."""
        self._mixture, self.labels, self.confinement = mixture, labels, confinement
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
    with ExitStack() as stack:
        environments = {
            teacher.domain: stack.enter_context(
                open_environment(
                    runner.store,
                    teacher.environment,
                    teacher.domain,
                    allow_unconfined=settings.sampling.allow_unconfined,
                )
            )
            for teacher in teachers
        }
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
        player: Plays = alone
        if num_ranks() > 1:
            player = SharedPlayer(alone, policy.model, settings.sampling)
        labels = {(share.domain, prompt.mode) for share in shares for prompt in share.prompts}
        note = confinement_note(environments.values())
        yield CountedMixture(
            Mixture(player, shares, settings.rollouts_per_prompt, seed), labels, note
        )


def _prompts(runner: StepRunner, teacher: PlannedTeacher) -> list[Prompt]:
    try:
        return stored_prompts(runner.store, teacher.train)
    except ValueError as error:
        raise RefusedError(
            "unusable-prompts",
            f"the prompts of the domain {teacher.domain!r} cannot be used: {error}",
        ) from error


class _MetricsRecorder:
    """Keeps the measurements of each step and reports the mean KL over teachers."""

    def __init__(self, settings: RoundSettings, measurements: Measurements) -> None:
        self._num_steps, self._measurements = settings.loop.num_steps, measurements

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        self._measurements.add(step, metrics)
        divergences = [value for name, value in metrics.items() if name.startswith("kl/")]
        report(
            "mopd",
            step,
            self._num_steps,
            reward=metrics["reward"],
            kl=sum(divergences) / len(divergences),
        )
