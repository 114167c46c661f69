"""The collaborators of one MOPD round: teachers, loop, ledger and checkpoints."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from tasks.estimate.layouts import Fit, MemoryLimits, refuse_too_large
from tasks.estimate.ledger_phases import run_size
from tasks.estimate.planned import Ranks, planned_work
from tasks.ledger.estimate import estimate, memory_speed, refuse_small_storage
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
from tasks.mopd.source import CountedMixture, teacher_prompts
from tasks.mopd.teachers import open_round_teachers
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.ledger_recorder import LedgerRecorder
from tasks.onpolicy.loop import LoopCallbacks, LoopObservers, train
from tasks.onpolicy.run_monitor import RunMonitor
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.ranks import num_ranks, rank_device, ranks_on_node
from tasks.platform.resources import free_storage
from tasks.platform.resume import JsonPart, Part, RandomNumbers, States
from tasks.platform.step_runner import StepRunner


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
        source: CountedMixture,
        limits: MemoryLimits,
    ) -> None:
        """Open the teachers, and check everything that can be checked before the first rollout.

        ``limits`` are those of before ``policy`` was loaded.
        """
        self._settings, self._source = spec.settings, source
        settings, seed, labels = spec.settings, spec.seed, source.labels
        self.needed = self._check_size(runner, spec, source, limits)
        chat = ChatTokens(policy.tokenizer)
        self._objective = open_objective(runner, spec, policy, chat.control_ids, labels)
        health = settings.health
        if settings.frozen_rollouts:  # the sampler is another model than the learner, and meant so
            health = health.model_copy(update={"most_sampler_gap": math.inf})
        self._run_monitor = RunMonitor(health, policy.model.config.vocab_size, _warn)
        if num_ranks() == 1:
            nn.Module.to(policy.model, rank_device())  # shards move there one by one
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
            **({"ahead": self._source.ahead} if self._source.ahead is not None else {}),
        }

    def train(self, measurements: Measurements, states: States) -> None:
        """Run the loop to its end."""
        callbacks = LoopCallbacks(
            _MetricsRecorder(self._settings, measurements), lambda _step: None
        )
        observers = LoopObservers(self._recorder, states, self._run_monitor, self._source.ahead)
        train(self.learner, self._objective, self._source, callbacks, observers)

    def _check_size(
        self, runner: StepRunner, spec: RoundSpec, source: CountedMixture, limits: MemoryLimits
    ) -> str:
        """Report what the run takes, once, and refuse a run that does not fit."""
        device, settings, plan = rank_device(), spec.settings, spec.models.plan
        ranks = Ranks(num_ranks(), ranks_on_node(), device.type == "cuda")
        load = settings.workload(rounds=1)
        work = planned_work(runner.store, plan, load, source.longest_prompt, ranks)
        fit = Fit(work, limits)
        needed = estimate(run_size(work), settings.ledger, memory_speed(device))
        said = f"memory: {fit.summary}; {needed}"
        # A report without a total is never thinned out.
        report("mopd", 0, 0, message=said)
        refuse_too_large(fit, None)
        uri = runner.store.uri
        room = None if "://" in uri else free_storage(Path(uri))  # a bucket has no known end
        refuse_small_storage(needed, room)
        return said


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


def _warn(message: str) -> None:
    report("mopd", 0, 0, message=f"warning: {message}")


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
