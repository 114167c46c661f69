"""One case of the map: a point and a seed, with all methods.

The base and the questions do not depend on the seed, everything else does. Each step is recorded,
so a case that was cut off goes on, and cases of one seed share what does not differ: the fork point
of points that ask the same questions, and teachers.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.controls.one_seed import Merge, merged, released
from benchmarks.map.domains import DOMAINS, Counts, MapDomain, settings_of, write_domain
from benchmarks.map.points import CENTER, LADDER, MIX_RL, OFF_POLICY, Point, shares_mix_rl
from lineage.artifacts import Artifact, Release, read_manifest
from tasks.contracts.handover import BlendSettings, Contribution, Domain, StageLabel
from tasks.contracts.scale import Scale
from tasks.evaluate.cost import cost_of_records, total_cost
from tasks.evaluate.scores import STUDENT
from tasks.onpolicy.settings import LoopSettings
from tasks.platform.step_runner import StepRunner
from tasks.release.domain import collect_blend, collect_domain
from tasks.rl.settings import RlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings
from tasks.sft.steps import finetune
from workflows.testbed.base import SEED, make_testbed

NUM_STAGES = 3
NUM_RUNGS = 4
"""Checkpoints of a climb, whatever its length."""
GROUP = 8
"""Rollouts of a prompt in RL, as in the control."""
LONGER = 3
"""At a length of 9, and where the second domain writes its steps otherwise, the usual steps left a
fork point that answered nothing right, from which no teacher climbed."""


@dataclass(frozen=True)
class Sizes:
    """Numbers that all points share. Nothing is tuned for a method."""

    counts: Counts
    learning_rate: float
    """Of all that learns on rollouts: climbs, MOPD and Mix-RL, as in the testbed."""
    sft_learning_rate: float
    """Of every supervised stage, the control among them."""
    blend_count: int
    """Demonstrations of each domain in the fork point's data."""
    foundation_steps: int
    """Steps of the fork point; ``LONGER`` times as many where they would not do."""
    team_steps: int
    """Steps of a team's own supervised stage, which comes before its climb."""
    prompts_per_step: int
    """Prompts of a step of a climb."""
    merge_steps: int
    merge_rollouts: int
    """Rollouts of a step of the merge, over all domains."""


FULL = Sizes(
    counts=Counts(train=600, validation=20, evaluation=480, demonstrations=600),
    learning_rate=5e-4,
    sft_learning_rate=1e-3,
    blend_count=300,
    foundation_steps=80,
    team_steps=12,
    prompts_per_step=8,
    merge_steps=16,
    merge_rollouts=96,
)


def run_case(
    name: str, point: Point, seed: int, sizes: Sizes = FULL, scale: Scale = Scale.TINY
) -> dict[str, Any]:
    """Return the outcomes of every method on the held-out prompts, with what each took.

    Mix-RL is missing where it is the center's.
    """
    runner = StepRunner()
    base = make_testbed(scale=scale).base
    chosen = DOMAINS[: point.teachers]
    with tempfile.TemporaryDirectory(prefix="map-") as folder:
        fork_point = _fork_point(runner, base, Path(folder, "right"), point, sizes, seed)
        taught = Path(folder, "taught")
        domains = [
            collect_domain(
                runner,
                str(write_domain(taught, each, point, sizes.counts)),
                settings_of(each, sizes.counts, len(chosen)),
                SEED,
            )
            for each in chosen
        ]
    climbs = climb_of(point, sizes)
    releases = [_released(runner, fork_point, each, climbs, sizes, seed) for each in domains]
    made = merged(runner, fork_point, releases, merge_of(name, point, sizes, seed), seed)
    if name == CENTER:
        staged = merged(runner, fork_point, releases, ladder_of(point, sizes, seed), seed)
        made["rows"][LADDER] = staged["rows"][STUDENT]
        made["costs"][LADDER] = staged["costs"][STUDENT]
    return {**made, "before": _before(runner, base, fork_point, releases)}


def climb_of(point: Point, sizes: Sizes) -> RlSettings:
    """Return the settings of every climb of a point."""
    loop = LoopSettings(
        num_steps=point.gap,
        learning_rate=sizes.learning_rate,
        rung_every=max(1, point.gap // NUM_RUNGS),
    )
    return RlSettings(
        loop=loop,
        sampling=SamplingSettings(max_new_tokens=longest_of(point)),
        prompts_per_step=sizes.prompts_per_step,
        rollouts_per_prompt=GROUP,
    )


def longest_of(point: Point) -> int:
    """Return the largest number of tokens of an answer, a third above that of right ones."""
    return 20 + 14 * point.length


def merge_of(name: str, point: Point, sizes: Sizes, seed: int) -> Merge:
    """Return the consolidation of a point, with its controls of equal processor time."""
    controls = (OFF_POLICY,) if shares_mix_rl(point) else (OFF_POLICY, MIX_RL)
    settings = (
        *_shared(point, sizes),
        f"controls={','.join(control.value for control in controls)}",
        f"control_sft_learning_rate={sizes.sft_learning_rate}",
        f"control_rl_learning_rate={sizes.learning_rate}",
    )
    return Merge(f"map-{name}-{seed}", _round(sizes), settings)


def ladder_of(point: Point, sizes: Sizes, seed: int) -> Merge:
    """Return the consolidation through earlier checkpoints of each climb."""
    settings = (*_shared(point, sizes), "controls=none", f"ladder_stages={NUM_STAGES}")
    return Merge(f"map-ladder-{seed}", _round(sizes), settings)


def _round(sizes: Sizes) -> dict[str, float]:
    return {"mopd_steps": sizes.merge_steps, "learning_rate": sizes.learning_rate}


def _shared(point: Point, sizes: Sizes) -> tuple[str, ...]:
    return (
        f"max_new_tokens={longest_of(point)}",
        f"prompts_per_domain={sizes.merge_rollouts // point.teachers}",
    )


def _fork_point(
    runner: StepRunner, base: Artifact, folder: Path, point: Point, sizes: Sizes, seed: int
) -> Artifact:
    """Return the base after SFT on the demonstrations of all twelve domains, none corrupted."""
    right = Point(length=point.length, conflict=point.conflict)

    def part(domain: MapDomain) -> Contribution:
        return Contribution(
            domain=domain.name,
            package=str(write_domain(folder, domain, right, sizes.counts)),
            owner=domain.owner,
            count=sizes.blend_count,
        )

    blend = collect_blend(runner, BlendSettings(contributions=[*map(part, DOMAINS)]), SEED)
    label = StageLabel(name="fork point", owner="foundation")
    num_steps = foundation_steps(point, sizes)
    return finetune(runner, base, blend, _sft(sizes, num_steps), seed, label)


def foundation_steps(point: Point, sizes: Sizes) -> int:
    """Return the steps of a point's fork point."""
    return sizes.foundation_steps * (LONGER if point.longer else 1)


def _released(
    runner: StepRunner,
    fork_point: Artifact,
    domain: Domain,
    climbs: RlSettings,
    sizes: Sizes,
    seed: int,
) -> Artifact:
    """Return the release of a team that first learned from its own demonstrations."""
    label = StageLabel(name=f"{domain.settings.name} sft", owner=domain.settings.owner)
    settings = _sft(sizes, sizes.team_steps)
    start = finetune(runner, fork_point, [domain.demonstrations], settings, seed, label)
    return released(runner, fork_point, start, domain, climbs, seed)


def _sft(sizes: Sizes, num_steps: int) -> SftSettings:
    return SftSettings(
        num_steps=num_steps,
        learning_rate=sizes.sft_learning_rate,
        warmup_steps=min(5, num_steps // 2),
    )


def _before(
    runner: StepRunner, base: Artifact, fork_point: Artifact, releases: Sequence[Artifact]
) -> dict[str, Any]:
    """Return what fork point and teachers took, from their records, also where they were found."""
    teachers = [read_manifest(runner.store, each.digest, Release).checkpoint for each in releases]
    known = {"fork_point": ([fork_point], base), "teachers": (teachers, fork_point)}
    return {
        what: total_cost(cost_of_records(runner.records, made, {start.record}).values()).model_dump(
            mode="json"
        )
        for what, (made, start) in known.items()
    }
