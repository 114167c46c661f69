"""Flyte tasks that collect a domain, release a teacher, register and publish."""

from lineage.artifacts import Artifact, Rung
from tasks.contracts.handover import BlendSettings, Domain, DomainSettings, Gated
from tasks.model.settings import ScratchSettings
from tasks.platform.hosting import hosted
from tasks.platform.resources import Stage
from tasks.release.settings import ImportSettings
from tasks.rollout.settings import SamplingSettings


@hosted(Stage.PLAN)
def resolve_checkpoint(reference: str) -> Artifact:
    """Resolve a registered checkpoint, such as fork-point@released, to its digest."""
    from tasks.platform.step_runner import StepRunner
    from tasks.release import checkpoints as step

    return step.resolve_checkpoint(StepRunner(), reference)


@hosted(Stage.COLLECT)
def collect_domain(package: str, settings: DomainSettings, seed: int) -> Domain:
    """Bundle a team's environment and prompts, and make its data sets in a confined worker."""
    from tasks.platform.step_runner import StepRunner
    from tasks.release import domain as step

    return step.collect_domain(StepRunner(), package, settings, seed)


@hosted(Stage.COLLECT)
def check_climb(
    start: Artifact, domain: Domain, sampling: SamplingSettings, num_checkpoints: int
) -> Domain:
    """Try what would fail late before anything trains: positions of the model, room on the disk."""
    from tasks.platform.step_runner import StepRunner
    from tasks.release import preflight as step

    return step.check_climb(StepRunner(), start, domain, sampling, num_checkpoints)


@hosted(Stage.COLLECT)
def check_foundation(data: list[Artifact], source: str, scratch: ScratchSettings) -> list[Artifact]:
    """Compare the disk with what a foundation stores, before anything trains."""
    from tasks.platform.step_runner import StepRunner
    from tasks.release import preflight as step

    return step.check_foundation(StepRunner(), data, source, scratch)


@hosted(Stage.COLLECT)
def collect_blend(blend: BlendSettings, seed: int) -> list[Artifact]:
    """Collect the demonstrations that each domain contributes to the shared supervised stage."""
    from tasks.platform.step_runner import StepRunner
    from tasks.release import domain as step

    return step.collect_blend(StepRunner(), blend, seed)


@hosted(Stage.COLLECT)
def import_teacher(settings: ImportSettings, fork_point: Artifact) -> list[Rung]:
    """Bring a teacher in that was trained elsewhere; its weights must agree with its fork point."""
    from tasks.platform.step_runner import StepRunner
    from tasks.release import imported as step

    return step.import_teacher(StepRunner(), settings, fork_point)


@hosted(Stage.RELEASE)
def release_teacher(ladder: list[Rung], domain: Domain, scorecard: Artifact) -> Artifact:
    """Release the last rung of the climb as the domain's teacher, if all is of one climb."""
    from tasks.platform.step_runner import StepRunner
    from tasks.release import release as step

    return step.release_teacher(StepRunner(), ladder, domain, scorecard)


@hosted(Stage.RELEASE)
def register_checkpoint(name: str, checkpoint: Artifact, owner: str) -> Artifact:
    """Register a base or a fork point under its name."""
    from tasks.platform.step_runner import StepRunner
    from tasks.release import checkpoints as step

    return step.register_checkpoint(StepRunner(), name, checkpoint, owner)


@hosted(Stage.PLAN)
def summarize(made: Artifact) -> str:
    """Return the results of a run with their reasons, in a few lines for the console."""
    from lineage.view.summary import summary_of, text_of
    from tasks.platform.step_runner import StepRunner

    return text_of(summary_of(StepRunner().store, made.digest))


@hosted(Stage.RELEASE)
def publish_student(gated: Gated, scorecard: Artifact, name: str) -> Artifact:
    """Publish what the scorecard measured as the student, if all is of one consolidation."""
    from tasks.platform.step_runner import StepRunner
    from tasks.release import student as step

    return step.publish_student(StepRunner(), gated, scorecard, name)
