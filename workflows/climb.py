"""The usual wiring of a climb: domain SFT, RL, evaluation, release. A team may wire its own."""

from typing import NamedTuple

from lineage.artifacts import Artifact, Rung
from tasks.contracts.handover import Domain, DomainSettings, StageLabel
from tasks.evaluate.settings import EvaluationSettings
from tasks.evaluate.task import score_teacher
from tasks.release.task import (
    check_climb,
    collect_domain,
    release_teacher,
    resolve_checkpoint,
    summarize,
)
from tasks.rl.external_settings import ExternalTrainer
from tasks.rl.settings import RlSettings
from tasks.rl.task import climb, climb_outside
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings
from tasks.sft.task import finetune
from workflows.graph import named


class Climbed(NamedTuple):
    """What a climb leaves behind."""

    summary: str
    """Name and version, verdict, scores beside what they are compared with, where everything is."""
    release: Artifact
    """The teacher's manifest."""


def climb_outside_and_release(
    *,
    package: str,
    domain: DomainSettings,
    sft: SftSettings,
    trainer: ExternalTrainer,
    fork_point: str,
    seed: int,
) -> Climbed:
    """Wire a climb with a trainer of the team's own; see ``ExternalTrainer``."""
    begun = _begin(package, domain, fork_point, seed, trainer.sampling, len(trainer.rungs))
    ladder = climb_outside(
        start=_precursor(begun, domain, sft, seed),
        domain=begun.collected,
        settings=trainer,
        package=package,
        seed=seed,
    )
    return _release(begun, named("climb", ladder), trainer.sampling)


def climb_and_release(
    *,
    package: str,
    domain: DomainSettings,
    sft: SftSettings,
    rl: RlSettings,
    fork_point: str,
    seed: int,
) -> Climbed:
    """Wire a team's climb inside its ``@workflow``: returns its outputs, as promises."""
    begun = _begin(package, domain, fork_point, seed, rl.sampling, len(rl.loop.rung_steps()))
    precursor = _precursor(begun, domain, sft, seed)
    ladder = climb(start=precursor, domain=begun.collected, settings=rl, seed=seed)
    return _release(begun, named("rl", ladder), rl.sampling)


class _Begun(NamedTuple):
    """What every climb begins with."""

    start: Artifact
    collected: Domain


def _begin(
    package: str,
    domain: DomainSettings,
    fork_point: str,
    seed: int,
    sampling: SamplingSettings,
    num_rungs: int,
) -> _Begun:
    """Resolve the fork point, collect the domain's data, and check them before anything trains."""
    start = named("resolve-fork-point", resolve_checkpoint(reference=fork_point))
    data = named("collect", collect_domain(package=package, settings=domain, seed=seed))
    checked = check_climb(
        start=start,
        domain=data,
        sampling=sampling,
        num_checkpoints=num_rungs + 1,  # with the supervised one
    )
    return _Begun(start, named("check", checked))


def _precursor(begun: _Begun, domain: DomainSettings, sft: SftSettings, seed: int) -> Artifact:
    """Train the supervised checkpoint from which the ladder climbs."""
    trained = finetune(
        start=begun.start,
        data=[begun.collected.demonstrations],
        settings=sft,
        seed=seed,
        stage=StageLabel(
            name=f"{domain.name} sft", owner=domain.owner, system_prompt=domain.system_prompt
        ),
    )
    return named("sft", trained)


def _release(begun: _Begun, ladder: list[Rung], sampling: SamplingSettings) -> Climbed:
    """Score a ladder beside the fork point and release its last rung."""
    scorecard = score_teacher(
        fork_point=begun.start,
        ladder=ladder,
        domain=begun.collected,
        settings=EvaluationSettings(sampling=sampling),
    )
    card = named("score", scorecard)
    released = release_teacher(ladder=ladder, domain=begun.collected, scorecard=card)
    release = named("release", released)
    return Climbed(named("summary", summarize(made=release)), release)
