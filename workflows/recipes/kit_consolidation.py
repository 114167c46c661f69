"""What recipes with MOPD share: releases of teachers, and a consolidation that waits for no person.

A consolidation has all stages that it has elsewhere: records and gate, rounds, cheap merges beside
the student, scores, publication, report. A recipe repeats what was published, so it accepts the
gate's findings and approves the plan itself; its waiver and its approval are in the records.
"""

from collections.abc import Sequence
from typing import Any

from flytekit import workflow

from lineage.artifacts import Artifact, Rung
from tasks.evaluate.task import score_teacher
from tasks.mopd.launch_form import LaunchForm
from tasks.mopd.task import round_settings
from tasks.recipe.task import (
    accept_findings,
    approve_automatically,
    consolidated_checkpoint,
    evaluation_with,
    launch_inputs,
    release_start,
    without_climb,
)
from tasks.release.task import register_checkpoint, release_teacher
from workflows.consolidation.stages import Consolidated, as_node, carry_out, prepare
from workflows.graph import inputs_of, named
from workflows.recipes.kit import RecipeRun
from workflows.recipes.kit_data import OWNER
from workflows.testbed.base import DOMAINS


@workflow
@inputs_of(LaunchForm, {})
def consolidate_alone(**inputs: Any) -> Consolidated:  # noqa: ANN401 - the form gives each its type
    """Consolidate as ``consolidate`` does, with the findings accepted by the recipe."""
    system = inputs["publish_as"]
    launch = named("form", round_settings(**inputs))
    accepted = accept_findings(
        teachers=inputs["teachers"],
        student=inputs["student"],
        order=launch.gate,
        sampling=launch.spec.sampling,
        ladder_stages=launch.ladder_stages,
        system=system,
    )
    with_waivers = {**inputs, "waivers": named("accept-findings", accepted)}
    prepared = prepare(with_waivers, reviewed=False)
    approved = approve_automatically(gated=prepared["gated"], system=system)
    return as_node(carry_out(**{**prepared, "gated": named("approve", approved)}))


def owner_of(domain: str) -> str:
    """Return the team of a domain, which owns the supervised stage of its teacher too."""
    (owner,) = (each.owner for each in DOMAINS if each.name == domain)
    return owner


def release(run: RecipeRun, teacher: str, domain: str, fork_point: Artifact) -> Artifact:
    """Wire the release of the stage ``teacher``, which is RL on one domain.

    ``fork_point`` is the checkpoint from which it learned the domain: the start of its RL, or of
    its own team's supervised stage before that.
    """
    ladder = run.ladders[teacher]
    made = release_teacher(
        ladder=ladder,
        domain=run.domain(domain),
        scorecard=_scored(run, teacher, domain, fork_point, ladder),
    )
    return named(f"release-{teacher}", made)


def release_own(run: RecipeRun, domain: str, start: Artifact) -> Artifact:
    """Wire the release of a domain without an expert, which the student's start teaches."""
    ladder = named(f"climb-{domain}", without_climb(checkpoint=start))
    made = release_start(
        start=start,
        domain=run.domain(domain),
        scorecard=_scored(run, domain, domain, start, ladder),
    )
    return named(f"release-{domain}", made)


def _scored(
    run: RecipeRun, name: str, domain: str, fork_point: Artifact, ladder: list[Rung]
) -> Artifact:
    settings = evaluation_with(sampling=run.numbers.sampling)
    scorecard = score_teacher(
        fork_point=fork_point,
        ladder=ladder,
        domain=run.domain(domain),
        settings=named(f"evaluation-{name}", settings),
    )
    return named(f"score-{name}", scorecard)


def consolidate(
    run: RecipeRun,
    name: str,
    start: Artifact,
    teachers: Sequence[Artifact],
    own: Sequence[Artifact] = (),
    by: str = "",
) -> Artifact:
    """Wire MOPD of released ``teachers`` into a student from ``start``; return its checkpoint.

    ``own`` are releases of domains that the start itself teaches.
    """
    start_name = f"recipe.{run.system}.{name}"
    registered = register_checkpoint(name=start_name, checkpoint=start, owner=OWNER)
    inputs = launch_inputs(
        system=run.system,
        round_form=run.numbers.mopd[by or name],
        gate=run.numbers.gate,
        start=named(f"register-{name}", registered),
        start_name=start_name,
        teachers=list(teachers),
        own=list(own),
        seed=run.seed,
    )
    made = consolidate_alone(**named(f"form-{name}", inputs)._asdict())
    named(f"consolidate-{name}", made.summary)
    return run.stage(name, consolidated_checkpoint(student=made.student))
