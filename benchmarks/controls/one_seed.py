"""One seed of the comparison: base, fork point, four teachers, the student and its controls.

All but the base, and the prompts, depend on the seed. Each step is recorded, so a run that was cut
off goes on. Five seeds have the controls that matter most. Two of them have all, and a second
round: every teacher climbs again from the student, and the new teachers are merged into it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.controls.planned import REFRESHED, SECOND_ROUND, WHOLE, controls_of
from lineage.artifacts import Artifact, Student, read_manifest
from lineage.registry.registry import Registry
from tasks.contracts.handover import Domain, StageLabel
from tasks.contracts.planned import plan_of
from tasks.contracts.scale import Scale
from tasks.evaluate.cards import score_teacher
from tasks.evaluate.cost import cost_of_methods
from tasks.evaluate.measure import read_measured
from tasks.evaluate.scores import STUDENT, TEACHER
from tasks.evaluate.settings import EvaluationSettings
from tasks.platform.step_runner import StepRunner
from tasks.release.checkpoints import register_checkpoint
from tasks.release.domain import collect_domain
from tasks.release.release import release_teacher
from tasks.rl.climb import climb
from tasks.rl.settings import RlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings
from tasks.sft.steps import finetune
from workflows.commands.local import run_locally
from workflows.consolidation.workflow import consolidate, consolidate_refreshed
from workflows.testbed.add.settings import RL
from workflows.testbed.base import SEED, VERIFIABLE, make_testbed, package_of

STEPS = 60
"""Steps of MOPD, with 16 prompts of each domain: as many rollouts as two climbs."""
SAMPLING = SamplingSettings(max_new_tokens=110)
SFT = SftSettings(num_steps=40, learning_rate=5e-4, warmup_steps=5)


def run_seed(seed: int) -> dict[str, Any]:
    """Return the outcomes of every method on every domain's held-out prompts, with their cost."""
    runner = StepRunner()
    base = make_testbed(scale=Scale.TINY).base
    domains = [collect_domain(runner, package_of(each), each, SEED) for each in VERIFIABLE]
    label = StageLabel(name="fork point", owner="foundation")
    demonstrations = [domain.demonstrations for domain in domains]
    fork_point = finetune(runner, base, demonstrations, SFT, seed, label)
    rl: RlSettings = RL.model_copy(update={"sampling": SAMPLING})
    releases = [released(runner, fork_point, fork_point, each, rl, seed) for each in domains]
    student = merged(runner, fork_point, releases, first_round(seed), seed)
    if seed not in WHOLE:
        return student
    again = merged(runner, fork_point, releases, second_round(seed), seed)
    rows = {SECOND_ROUND: again["rows"][STUDENT], REFRESHED: again["rows"][TEACHER]}
    return {
        **student,
        "rows": {**student["rows"], **rows},
        "costs": {**student["costs"], SECOND_ROUND: again["costs"][STUDENT]},
    }


def first_round(seed: int) -> "Merge":
    """Return the consolidation of a seed with its controls."""
    settings = (
        f"max_new_tokens={SAMPLING.max_new_tokens}",
        f"controls={','.join(control.value for control in controls_of(seed))}",
        f"control_rl_learning_rate={RL.loop.learning_rate}",
    )
    return Merge(f"controls-{seed}", {"mopd_steps": STEPS}, settings)


def second_round(seed: int) -> "Merge":
    """Return the same consolidation with a second round, which finds the first one's student."""
    settings = (f"max_new_tokens={SAMPLING.max_new_tokens}", "controls=none")
    return Merge(f"controls-{seed}-again", {"mopd_steps": STEPS}, settings, is_refreshed=True)


def released(
    runner: StepRunner,
    fork_point: Artifact,
    start: Artifact,
    domain: Domain,
    rl: RlSettings,
    seed: int,
) -> Artifact:
    """Return the release of a domain's teacher, which climbed from ``start``.

    That is the fork point, or what the team made of it.
    """
    ladder = climb(runner, start, domain, rl, seed)
    settings = EvaluationSettings(sampling=rl.sampling)
    card = score_teacher(runner, fork_point, ladder[-1].checkpoint, domain, settings)
    return release_teacher(runner, ladder, domain, card)


@dataclass(frozen=True)
class Merge:
    """One consolidation of a comparison."""

    name: str
    """Name under which its student is published."""
    round: Mapping[str, float]
    """Inputs of the launch form for the round: ``mopd_steps`` and, if wanted, others."""
    settings: tuple[str, ...]
    """Settings of the launch form, such as ``controls=mix_rl``."""
    is_refreshed: bool = False
    """Whether its teachers climb again from its student, and are merged into it. What is measured
    is the student of this second round then."""


def merged(
    runner: StepRunner,
    fork_point: Artifact,
    releases: Sequence[Artifact],
    merge: Merge,
    seed: int,
) -> dict[str, Any]:
    """Consolidate released teachers; return outcomes and costs of the student and its controls."""
    register_checkpoint(runner, "fork-point", fork_point, "foundation")
    # A later one may have been registered since: merges of several fork points share a store.
    start = Registry(runner.store).resolve(fork_point.digest)
    run_locally(
        consolidate_refreshed if merge.is_refreshed else consolidate,
        teachers=[release.digest for release in releases],
        student=f"fork-point@{start.version}",
        publish_as=merge.name,
        seed=seed,
        **merge.round,
        settings=[
            "gate_prompts_per_domain=0",  # whether teachers fit is asked elsewhere
            "ledger_displacements=false",
            *merge.settings,
        ],
    )
    return figures(runner, f"student.{merge.name}@latest")


def figures(runner: StepRunner, reference: str) -> dict[str, Any]:
    """Return what the scorecard of a published student measured, and what each method took.

    ``rows`` has the outcomes by method and domain, with those of each teacher on its own domain.
    ``teachers`` has each teacher's on all domains.
    """
    entry = Registry(runner.store).resolve(reference)
    student = Artifact(kind="student", digest=entry.digest, record=entry.record)
    manifest = read_manifest(runner.store, entry.digest, Student)
    rows: dict[str, dict[str, Any]] = {}
    teachers: dict[str, dict[str, Any]] = {}
    for item in runner.records.read(manifest.scorecard.record).inputs:
        kind, _, name = item.role.partition(".")
        found = Artifact(kind="evaluation", digest=item.artifact, record=item.record)
        outcomes = [
            {"prompt": each.prompt, "scores": each.scores, "lengths": each.lengths}
            for each in read_measured(runner, found).outcomes
        ]
        if kind == "teacher":
            teachers.setdefault(name, {})[item.name] = outcomes
        else:
            rows.setdefault(name, {})[item.name] = outcomes
    rows[TEACHER] = {name: measured[name] for name, measured in teachers.items()}
    methods = {STUDENT: manifest.checkpoint, **manifest.controls}
    costs = cost_of_methods(runner.records, plan_of(runner, student), methods)
    return {
        "rows": rows,
        "teachers": teachers,
        "costs": {name: cost.model_dump(mode="json") for name, cost in costs.items()},
    }
