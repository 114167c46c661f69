"""A climb: reinforcement learning from the supervised checkpoint, leaving a ladder of rungs."""

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import nn

from lineage.artifacts import Artifact, Rung
from lineage.records.record import Derivation, Input
from lineage.records.system_prompt import store_system_prompt, system_prompt_inputs
from tasks.contracts.handover import Domain
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy, load_policy
from tasks.onpolicy.distributed.collective import DistributedStepRunner, SharedPlayer
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.loop import LoopCallbacks, LoopObservers, train
from tasks.onpolicy.run_monitor import RunMonitor
from tasks.onpolicy.student_files import save_student, saving_note
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.ranks import joined_ranks, num_ranks, rank_device
from tasks.platform.resources import use_configured_threads
from tasks.platform.resume import JsonPart, Part, RandomNumbers, States
from tasks.platform.step_runner import StepRunner, now
from tasks.rl.grpo import GroupAdvantage
from tasks.rl.settings import RlSettings
from tasks.rollout.domains import (
    DomainShare,
    Mixture,
    Plays,
    confinement_note,
    make_player,
    model_note,
    open_environment,
    stored_prompts,
)


def climb(
    runner: StepRunner, start: Artifact, domain: Domain, settings: RlSettings, seed: int
) -> list[Rung]:
    """Return the ladder of the climb, the finished teacher last; found, or else made.

    A rung is the same run stopped earlier, so its record is the run's with ``stop_at``. Every
    process that a launcher has started calls it, and the first of them writes.
    """
    with joined_ranks():
        return _climb(
            DistributedStepRunner(runner.store, mirror=runner.mirror), start, domain, settings, seed
        )


def _climb(
    runner: StepRunner, start: Artifact, domain: Domain, settings: RlSettings, seed: int
) -> list[Rung]:
    stored = _rungs(runner, start, domain, settings, seed)
    if stored is not None:
        return stored
    last = _derivation(runner.project, start, domain, settings, seed, settings.loop.num_steps)
    with runner.making(last):
        use_configured_threads()
    store_system_prompt(runner.store, domain.settings.system_prompt)
    policy = load_policy(runner.store.tree(start.digest))
    ladder = _Ladder(runner, start, domain, settings, seed, policy)
    with open_environment(
        runner.store,
        domain.environment,
        domain.settings.name,
        allow_unconfined=settings.sampling.allow_unconfined,
    ) as worker:
        ladder.measurements.notes["confinement"] = confinement_note([worker])
        ladder.measurements.notes["model"] = model_note(policy)
        if num_ranks() == 1:
            nn.Module.to(policy.model, rank_device())  # shards move there one by one
        player: Plays = make_player(
            {domain.settings.name: worker}, policy, settings.sampling, domain.settings.system_prompt
        )
        if num_ranks() > 1:
            player = SharedPlayer(player, policy.model)
        prompts = stored_prompts(runner.store, domain.train)
        share = DomainShare(domain.settings.name, prompts, settings.prompts_per_step)
        objective = GroupAdvantage(settings.importance)
        learner = Learner(
            policy.model,
            settings.loop,
            settings.sampling.temperature,
            ChatTokens(policy.tokenizer).pad_id,
            objective.sources,
        )
        monitor = RunMonitor(settings.health, policy.model.config.vocab_size, ladder.warn)
        parts: dict[str, Part] = {
            "learner": learner,
            "health": JsonPart(monitor.state, monitor.load_state),
            "measurements": ladder.measurements,
            "random": RandomNumbers(),
        }
        with runner.shown_live(last, ladder.measurements, domain.settings.owner):
            train(
                learner,
                objective,
                Mixture(player, [share], settings.rollouts_per_prompt, seed),
                LoopCallbacks(ladder.measure, partial(ladder.save, learner)),
                LoopObservers(
                    checkpoints=States(runner.store, last.digest(), parts), monitor=monitor
                ),
            )
    rungs = _rungs(runner, start, domain, settings, seed)
    assert rungs is not None, "every rung was stored on the way"
    return rungs


def _rungs(
    runner: StepRunner, start: Artifact, domain: Domain, settings: RlSettings, seed: int
) -> list[Rung] | None:
    """Return the ladder if every rung is there."""
    rungs = []
    for step in settings.loop.rung_steps():
        checkpoint = runner.find(_derivation(runner.project, start, domain, settings, seed, step))
        if checkpoint is None:
            return None
        rungs.append(Rung(step=step, checkpoint=checkpoint))
    return rungs


def _derivation(
    project: str, start: Artifact, domain: Domain, settings: RlSettings, seed: int, step: int
) -> Derivation:
    return Derivation(
        project=project,
        kind="rung" if step < settings.loop.num_steps else "rl",
        inputs=(
            Input.of("start", start),
            Input.of("prompts", domain.train),
            Input.of("environment", domain.environment),
            *system_prompt_inputs(domain.settings.system_prompt),
        ),
        source=source_digest("rl"),
        settings={
            **settings.model_dump(mode="json"),
            "domain": domain.settings.name,
            "stop_at": step,
        },
        seed=seed,
    )


class _Ladder:
    """Keeps a climb's measurements and stores its rungs."""

    def __init__(
        self,
        runner: StepRunner,
        start: Artifact,
        domain: Domain,
        settings: RlSettings,
        seed: int,
        policy: Policy,
    ) -> None:
        self._runner, self._start, self._domain = runner, start, domain
        self._settings, self._seed, self._policy = settings, seed, policy
        self.measurements = Measurements("rl")
        self._started = now()

    def measure(self, step: int, metrics: Mapping[str, float]) -> None:
        self.measurements.add(step, metrics)
        report(
            f"{self._domain.settings.name} rl",
            step,
            self._settings.loop.num_steps,
            reward=metrics["reward"],
        )

    def warn(self, message: str) -> None:
        report(f"{self._domain.settings.name} rl", 0, 0, message=f"warning: {message}")

    def save(self, learner: Learner, step: int) -> None:
        derivation = _derivation(
            self._runner.project, self._start, self._domain, self._settings, self._seed, step
        )
        with tempfile.TemporaryDirectory(prefix="provost-") as folder:
            self.measurements.notes["saved"] = saving_note(learner)
            saved = save_student(learner, self._policy.tokenizer, Path(folder, "model"))
            self._runner.commit(
                derivation,
                "checkpoint",
                saved,
                self._started,
                self.measurements,
                self._domain.settings.owner,
            )
