"""The usual wiring of a climb: domain SFT, RL, evaluation, release. A team may wire its own."""

from typing import NamedTuple

from lineage.artifacts import Artifact
from tasks.contracts.handover import DomainSettings, StageLabel
from tasks.evaluate.settings import EvaluationSettings
from tasks.evaluate.task import score_teacher
from tasks.release.task import (
    check_climb,
    collect_domain,
    release_teacher,
    resolve_checkpoint,
    summarize,
)
from tasks.rl.settings import ExternalTrainer, RlSettings
from tasks.rl.task import climb, climb_outside
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
    start = named("resolve-fork-point", resolve_checkpoint(reference=fork_point))
    data = named("collect", collect_domain(package=package, settings=domain, seed=seed))
    checked = check_climb(
        start=start,
        domain=data,
        sampling=trainer.sampling,
        num_checkpoints=len(trainer.rungs) + 1,  # with the supervised one
    )
    collected = named("check", checked)
    precursor = finetune(
        start=start,
        data=[collected.demonstrations],
        settings=sft,
        seed=seed,
        stage=StageLabel(name=f"{domain.name} sft", owner=domain.owner),
    )
    ladder = climb_outside(
        start=named("sft", precursor),
        domain=collected,
        settings=trainer,
        package=package,
        seed=seed,
    )
    card = score_teacher(
        fork_point=start,
        ladder=named("climb", ladder),
        domain=collected,
        settings=EvaluationSettings(sampling=trainer.sampling),
    )
    released = release_teacher(ladder=ladder, domain=collected, scorecard=named("score", card))
    release = named("release", released)
    return Climbed(named("summary", summarize(made=release)), release)


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
    start = named("resolve-fork-point", resolve_checkpoint(reference=fork_point))
    data = named("collect", collect_domain(package=package, settings=domain, seed=seed))
    checked = check_climb(
        start=start,
        domain=data,
        sampling=rl.sampling,
        num_checkpoints=len(rl.loop.rung_steps()) + 1,  # with the supervised one
    )
    collected = named("check", checked)
    precursor = finetune(
        start=start,
        data=[collected.demonstrations],
        settings=sft,
        seed=seed,
        stage=StageLabel(name=f"{domain.name} sft", owner=domain.owner),
    )
    ladder = climb(start=named("sft", precursor), domain=collected, settings=rl, seed=seed)
    scorecard = score_teacher(
        fork_point=start,
        ladder=named("rl", ladder),
        domain=collected,
        settings=EvaluationSettings(sampling=rl.sampling),
    )
    card = named("score", scorecard)
    released = release_teacher(ladder=ladder, domain=collected, scorecard=card)
    release = named("release", released)
    return Climbed(named("summary", summarize(made=release)), release)
