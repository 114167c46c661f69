"""Flyte tasks that collect a domain, release a teacher, register and publish."""

from lineage.artifacts import Artifact, Rung
from tasks.handover import BlendSettings, Climb, Domain, DomainSettings, Plan
from tasks.hosting import hosted
from tasks.resources import Stage
from tasks.rollout.settings import SamplingSettings


@hosted(Stage.PLAN)
def resolve_checkpoint(reference: str) -> Artifact:
    """Resolve a registered checkpoint, such as fork-point@released, to its digest."""
    from tasks.release import release as step
    from tasks.step import Bench

    return step.resolve_checkpoint(Bench(), reference)


@hosted(Stage.COLLECT)
def collect_domain(package: str, settings: DomainSettings, seed: int) -> Domain:
    """Bundle a team's environment and prompts, and make its data sets in a confined worker."""
    from tasks.release import domain as step
    from tasks.step import Bench

    return step.collect_domain(Bench(), package, settings, seed)


@hosted(Stage.COLLECT)
def collect_blend(blend: BlendSettings, seed: int) -> list[Artifact]:
    """Collect the demonstrations that each domain contributes to the shared supervised stage."""
    from tasks.release import domain as step
    from tasks.step import Bench

    return step.collect_blend(Bench(), blend, seed)


@hosted(Stage.RELEASE)
def release_teacher(
    fork_point: Artifact,
    precursor: Artifact,
    ladder: list[Rung],
    domain: Domain,
    scorecard: Artifact,
    sampling: SamplingSettings,
) -> Artifact:
    """Release the last rung of the climb as the domain's teacher."""
    from tasks.release import release as step
    from tasks.step import Bench

    climb = Climb(fork_point=fork_point, precursor=precursor, ladder=ladder)
    return step.release_teacher(Bench(), climb, domain, scorecard, sampling)


@hosted(Stage.RELEASE)
def register_checkpoint(name: str, checkpoint: Artifact, owner: str) -> Artifact:
    """Register a base or a fork point under its name."""
    from tasks.release import release as step
    from tasks.step import Bench

    return step.register_checkpoint(Bench(), name, checkpoint, owner)


@hosted(Stage.RELEASE)
def publish_student(
    plan: Plan,
    student: Artifact,
    scorecard: Artifact,
    parameter_average: Artifact,
    task_arithmetic: Artifact,
    name: str,
) -> Artifact:
    """Publish the consolidated student with its plan, scorecard and controls."""
    from tasks.release import release as step
    from tasks.step import Bench

    controls = {"parameter_average": parameter_average, "task_arithmetic": task_arithmetic}
    return step.publish_student(Bench(), plan, student, scorecard, controls, name)
