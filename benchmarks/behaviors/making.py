"""Trains a world's models with the product's own stages: supervised, and a round of MOPD.

Every model is a recorded step of the store in ``PROVOST_HOME``, so a call that was cut off goes on.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.behaviors.kinds import KINDS_OF
from benchmarks.behaviors.taught import Seat
from benchmarks.behaviors.world import BehaviorWorld
from lineage.artifacts import Artifact
from lineage.frozen import Frozen
from tasks.contracts.handover import Domain, Plan, PlannedTeacher, StageLabel
from tasks.contracts.scale import Scale
from tasks.ledger.schema import LedgerSettings
from tasks.mopd.round import distil_round
from tasks.mopd.settings import DistilSettings, Divergence, RoundSettings
from tasks.onpolicy.settings import LoopSettings
from tasks.platform.step_runner import StepRunner
from tasks.release.domain import collect_domain
from tasks.rollout.domains import stored_prompts
from tasks.rollout.environment import Demonstration
from tasks.rollout.prompts import write_demonstrations, write_prompts
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings
from tasks.sft.steps import finetune
from workflows.testbed.base import DOMAINS, SEED, make_testbed, package_of

PRACTICE = -1
"""Number of the world whose fork point's data is the practice: any kind with any cue, none for
good."""


class Numbers(Frozen):
    """How long the stages are; a test has smaller numbers."""

    scale: Scale = Scale.TINY
    practice: SftSettings = SftSettings(
        num_steps=1200, batch_size=16, learning_rate=1e-2, warmup_steps=5, muon=True
    )
    """The stage in which the base learns all kinds of behavior, the same for every world."""
    fork: SftSettings = SftSettings(
        num_steps=240, batch_size=16, learning_rate=5e-3, warmup_steps=5, muon=True
    )
    teacher: SftSettings = SftSettings(
        num_steps=240, batch_size=16, learning_rate=5e-3, warmup_steps=5, muon=True
    )
    round: RoundSettings = RoundSettings(
        loop=LoopSettings(num_steps=120, learning_rate=3e-3),
        # The reverse one hardly learns what the student hardly says, and ordinary answers teach it
        # to say less of every behavior before it can tell the cues apart.
        distil=DistilSettings(divergence=Divergence.FORWARD),
        # Every rollout is kept, for rehearsals on all of them and on as many as the default keeps.
        ledger=LedgerSettings(segment_steps=40, rollouts_per_teacher=12),
        sampling=SamplingSettings(max_new_tokens=110),
        prompts_per_domain=12,
    )


@dataclass(frozen=True)
class MadeWorld:
    """The models of a world."""

    plan: Plan
    student: Artifact


def make(runner: StepRunner, world: BehaviorWorld, numbers: Numbers) -> MadeWorld:
    """Return the models of a world, with a ledger of the student's round."""
    base = make_testbed(scale=numbers.scale).base
    settings = {each.name: each for each in DOMAINS}
    domains = {
        name: collect_domain(runner, package_of(settings[name]), settings[name], SEED)
        for name in KINDS_OF
    }
    fork = fork_point(runner, base, world, numbers)
    prompts = {name: _prompts(runner, world, domains[name]) for name in KINDS_OF}
    teachers = [
        _planned(
            seat,
            domains[seat.domain],
            prompts[seat.domain],
            _taught(runner, fork, world, seat, numbers.teacher),
        )
        for seat in world.seats
    ]
    plan = Plan(fork_point=fork, student=fork, teachers=teachers)
    return MadeWorld(plan, distil_round(runner, plan, numbers.round, world.number))


def fork_point(
    runner: StepRunner, base: Artifact, world: BehaviorWorld, numbers: Numbers
) -> Artifact:
    """Return a world's fork point: the base after a practice that all worlds share, and its own."""
    label = StageLabel(name="practice", owner="foundation")
    common = BehaviorWorld(PRACTICE, world.size.without_behaviors())
    shared = [demonstrations(runner, common.fork_demonstrations(each)) for each in KINDS_OF]
    practiced = finetune(runner, base, shared, numbers.practice, SEED, label)
    own = [demonstrations(runner, world.fork_demonstrations(each)) for each in KINDS_OF]
    label = StageLabel(name="fork point", owner="foundation")
    return finetune(runner, practiced, own, numbers.fork, world.number, label)


def without(
    runner: StepRunner, made: MadeWorld, numbers: Numbers, masked: tuple[str, ...], seed: int
) -> Artifact:
    """Return the student of the same round with some teachers masked, or with another seed."""
    return distil_round(runner, made.plan, round_without(numbers.round, masked), seed)


def round_without(settings: RoundSettings, masked: Sequence[str]) -> RoundSettings:
    """Return the settings of a round with some teachers masked, all else equal but its ledger."""
    return settings.model_copy(
        update={
            "distil": settings.distil.model_copy(update={"masked": list(masked)}),
            "ledger": LedgerSettings(displacements=False, rollouts_per_teacher=0),
        }
    )


def _taught(
    runner: StepRunner, fork: Artifact, world: BehaviorWorld, seat: Seat, settings: SftSettings
) -> Artifact:
    data = demonstrations(runner, world.demonstrations(seat))
    label = StageLabel(name=seat.name, owner=f"team-{seat.domain}")
    return finetune(runner, fork, [data], settings, world.number, label)


def demonstrations(runner: StepRunner, rows: list[Demonstration]) -> Artifact:
    """Return demonstrations as a data set in the store."""
    return _stored(runner, lambda path: write_demonstrations(path, rows))


def _prompts(runner: StepRunner, world: BehaviorWorld, domain: Domain) -> Artifact:
    rows = world.student_prompts(domain.settings.name, stored_prompts(runner.store, domain.train))
    return _stored(runner, lambda path: write_prompts(path, rows))


def _stored(runner: StepRunner, write: Callable[[Path], None]) -> Artifact:
    with tempfile.TemporaryDirectory(prefix="provost-") as folder:
        path = Path(folder, "rows.jsonl")
        write(path)
        digest = runner.store.put_bytes(path.read_bytes())
    return Artifact(kind="dataset", digest=digest, uri=runner.store.uri)


def _planned(seat: Seat, domain: Domain, prompts: Artifact, checkpoint: Artifact) -> PlannedTeacher:
    """Return a teacher as a plan names it. It has no release: its checkpoint stands in for one."""
    return PlannedTeacher(
        name=seat.name,
        domain=seat.domain,
        share=seat.share,
        reference=seat.name,
        owner=f"team-{seat.domain}",
        release=checkpoint,
        checkpoint=checkpoint,
        ladder=[],
        environment=domain.environment,
        train=prompts,
        validation=domain.validation,
        evaluation=domain.evaluation,
    )
