"""RL from a checkpoint on one domain or on several at once, leaving a ladder of rungs."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from torch import nn

from lineage.artifacts import Artifact, Rung
from lineage.records.system_prompt import store_system_prompt
from tasks.contracts.handover import TrainingDomain
from tasks.contracts.refusal import RefusedError
from tasks.model.architecture import vocabulary_size
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy, load_policy
from tasks.model.images import reads_images
from tasks.onpolicy.distributed.ahead import AheadDraws
from tasks.onpolicy.distributed.collective import DistributedStepRunner
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.loop import LoopCallbacks, LoopObservers, train
from tasks.onpolicy.run_monitor import RunMonitor
from tasks.onpolicy.student_files import save_student, saving_note
from tasks.platform.measurements import new_measurements
from tasks.platform.progress import report
from tasks.platform.ranks import joined_ranks, num_ranks, rank_device
from tasks.platform.resources import use_configured_threads
from tasks.platform.resume import JsonPart, Part, RandomNumbers, States
from tasks.platform.step_runner import StepRunner, now
from tasks.rl.average import WeightAverage
from tasks.rl.drawing import draws_of
from tasks.rl.objective import Reinforcement
from tasks.rl.run_spec import RunSpec
from tasks.rl.settings import RlSettings
from tasks.rl.source import RewardedSource
from tasks.rl.tools import open_rewards, open_tools
from tasks.rollout.domains import confinement_note, model_note, open_environments
from tasks.rollout.worker.client import EnvironmentWorker


def reinforce(
    runner: StepRunner,
    start: Artifact,
    domains: Sequence[TrainingDomain],
    settings: RlSettings,
    seed: int,
    models: Mapping[str, Artifact],
) -> list[Rung]:
    """Return the ladder of a run, the finished policy last; found, or else made.

    Several domains share every step (Mix-RL, 2606.30406 appendix A); runs that start from each
    other's last rung are Cascade RL. ``models`` are those that the settings name beside the start:
    a reference, reward models, judges. Every process that a launcher has started calls it, and the
    first of them writes.

    Raises:
        RefusedError: before anything is trained, for inputs that do not fit the settings.
    """
    spec = RunSpec(start, domains, settings, seed, models)
    spec.refuse()
    with joined_ranks():
        shared = DistributedStepRunner(runner.store, mirror=runner.mirror)
        return _rungs(shared, spec) or _reinforce(shared, spec)


def _reinforce(runner: StepRunner, spec: RunSpec) -> list[Rung]:
    settings = spec.settings
    last = spec.derivation(runner.project, settings.loop.num_steps)
    with runner.making(last):
        use_configured_threads()
    store_system_prompt(runner.store, spec.system_prompt)
    policy = load_policy(runner.store.tree(spec.start.digest), takes_images=True)
    _refuse_images(policy, settings)
    ladder = _Ladder(runner, spec, policy)
    with _environments(runner, spec) as workers:
        ladder.measurements.notes["confinement"] = confinement_note(workers.values())
        ladder.measurements.notes["model"] = model_note(policy)
        if num_ranks() == 1:
            nn.Module.to(policy.model, rank_device())  # shards move there one by one
        draws = draws_of(runner.store, spec, policy, workers)
        ahead = draws if isinstance(draws, AheadDraws) else None
        source = RewardedSource(draws, settings, open_rewards(runner.store, spec))
        tools = open_tools(runner.store, spec, policy, source)
        objective = Reinforcement(settings, tools)
        learner = Learner(
            policy.model,
            settings.loop,
            settings.sampling.temperature,
            ChatTokens(policy.tokenizer).pad_id,
            objective.sources,
        )
        average = WeightAverage(learner, settings.average) if settings.average else None
        monitor = RunMonitor(settings.health, vocabulary_size(policy.model), ladder.warn)
        parts: dict[str, Part] = {
            "learner": learner,
            "objective": JsonPart(objective.state, objective.load_state),
            "source": JsonPart(source.state, source.load_state),
            "health": JsonPart(monitor.state, monitor.load_state),
            "measurements": ladder.measurements,
            "random": RandomNumbers(),
            **tools.parts,
            **({"average": average} if average is not None else {}),
            **({"ahead": ahead} if ahead is not None else {}),
        }
        ladder.follow(objective, source, average)
        with runner.shown_live(last, ladder.measurements, spec.owner):
            train(
                learner,
                objective,
                source,
                LoopCallbacks(ladder.measure, partial(ladder.save, learner)),
                LoopObservers(
                    checkpoints=States(runner.store, last.digest(), parts),
                    monitor=monitor,
                    ahead=ahead,
                ),
            )
    rungs = _rungs(runner, spec)
    assert rungs is not None, "every rung was stored on the way"
    return rungs


def _refuse_images(policy: Policy, settings: RlSettings) -> None:
    """Refuse what was not built for a policy that reads images."""
    named = {
        "several processes": num_ranks() > 1,
        "loop.adapter": settings.loop.adapter is not None,
        "value": settings.value is not None,
        "hint": settings.hint is not None,
        "kl.reset_every": settings.kl is not None and settings.kl.reset_every > 0,
    }
    idle = [name for name, is_set in named.items() if is_set]
    if idle and reads_images(policy.model.config):
        raise RefusedError(
            "images-not-taken",
            f"a policy that reads images is trained without {' and '.join(idle)}: remove that, or "
            "start from a text model",
        )


def _environments(
    runner: StepRunner, spec: RunSpec
) -> AbstractContextManager[dict[str, EnvironmentWorker]]:
    return open_environments(
        runner.store,
        {domain.name: domain.environment for domain in spec.domains},
        allow_unconfined=spec.settings.sampling.allow_unconfined,
    )


def _rungs(runner: StepRunner, spec: RunSpec) -> list[Rung] | None:
    """Return the ladder if every rung is there."""
    rungs = []
    for step in spec.settings.loop.rung_steps():
        checkpoint = runner.find(spec.derivation(runner.project, step))
        if checkpoint is None:
            return None
        rungs.append(Rung(step=step, checkpoint=checkpoint))
    return rungs


class _Ladder:
    """Keeps a run's measurements and stores its rungs."""

    def __init__(self, runner: StepRunner, spec: RunSpec, policy: Policy) -> None:
        self._runner, self._spec, self._policy = runner, spec, policy
        self.measurements = new_measurements("rl")
        self._started = now()
        self._objective: Reinforcement | None = None
        self._source: RewardedSource | None = None
        self._average: WeightAverage | None = None

    def follow(
        self, objective: Reinforcement, source: RewardedSource, average: WeightAverage | None
    ) -> None:
        """Take what is measured beside the loop's metrics, and what is saved for the weights."""
        self._objective, self._source, self._average = objective, source, average

    def measure(self, step: int, metrics: Mapping[str, float]) -> None:
        assert self._source is not None
        if self._average is not None:
            self._average.add()
        self.measurements.add(step, {**metrics, **self._source.metrics()})
        report(
            self._spec.stage,
            step,
            self._spec.settings.loop.num_steps,
            reward=metrics["reward"],
        )

    def warn(self, message: str) -> None:
        report(self._spec.stage, 0, 0, message=f"warning: {message}")

    def save(self, learner: Learner, step: int) -> None:
        derivation = self._spec.derivation(self._runner.project, step)
        self._note(step)
        saved_weights = self._average.held() if self._average is not None else nullcontext()
        with tempfile.TemporaryDirectory(prefix="provost-") as folder, saved_weights:
            self.measurements.notes["saved"] = saving_note(learner)
            saved = save_student(learner, self._policy.tokenizer, Path(folder, "model"))
            self._runner.commit(
                derivation,
                "checkpoint",
                saved,
                self._started,
                self.measurements,
                self._spec.owner,
            )

    def _note(self, step: int) -> None:
        """Note the cost so far and, at the end, the mechanisms that never acted."""
        assert self._objective is not None
        assert self._source is not None
        notes = self.measurements.notes
        notes["tokens_sampled"] = self._source.tokens
        notes["tokens_trained"] = self._objective.tokens
        if verdicts := self._source.verdicts:
            notes["verdicts"] = {name: [*texts] for name, texts in verdicts.items()}
        if step < self._spec.settings.loop.num_steps:
            return
        for idle in self._objective.feature_checks.idle:
            self.warn(f"{idle.name} never acted in {step} steps. {idle.remedy}")
        if idle_names := [idle.name for idle in self._objective.feature_checks.idle]:
            notes["never_acted"] = [*idle_names]
