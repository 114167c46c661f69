"""Flyte tasks of the audit."""

from typing import NamedTuple

from lineage.artifacts import Artifact
from tasks.platform.hosting import hosted, show
from tasks.platform.resources import Stage


class Audited(NamedTuple):
    """The results of an audit."""

    summary: str
    """The verdict, its confidence, and each source's share."""
    report: Artifact
    """A folder with ``report.html`` and ``audit.json``."""


class Operated(NamedTuple):
    """The results of a surgery."""

    summary: str
    """Summary of the checkpoint; it says that the student was not measured."""
    student: Artifact
    """Checkpoint of the student."""


@hosted(Stage.AUDIT)
def gather_behaviors(  # noqa: PLR0913, PLR0917 - one for each input of the launch form
    student: str,
    system: str,
    prompt: str,
    response: str,
    contrast: str,
    behaviors: str,
    sample: int,
    seed: int,
    replay: bool,  # noqa: FBT001 - a switch of the launch form
) -> Artifact:
    """Check and store the behaviors of the question, or sample them from the student."""
    from tasks.attribution.question import AuditQuestion, gather
    from tasks.platform.step_runner import StepRunner

    question = AuditQuestion(
        system=system,
        prompt=prompt,
        response=response,
        contrast=contrast,
        behaviors=behaviors,
        sample=sample,
    )
    return gather(StepRunner(), student, question, seed, replay=replay)


@hosted(Stage.AUDIT, deck=True)
def run_audit(
    student: str,
    behaviors: Artifact,
    replayed: list[Artifact],
    retrained: list[Artifact],
    seed: int,
) -> Audited:
    """Split the behaviors by source, compare with the retrains, and write the page."""
    from lineage.view.summary import text_of
    from tasks.attribution import audit as query
    from tasks.attribution.document import read_audit, summary_of_audit
    from tasks.platform.step_runner import StepRunner

    runner = StepRunner()
    made = query.run_audit(runner, student, behaviors, replayed, retrained, seed)
    show("audit", query.read_page(runner, made))
    return Audited(text_of(summary_of_audit(read_audit(runner.store, made), made)), made)


@hosted(Stage.AUDIT)
def scale_teachers(student: str, weights: list[str]) -> Operated:
    """Remove or reweight teachers in a student, by its ledger."""
    from lineage.view.summary import summary_of, text_of
    from tasks.attribution import surgery
    from tasks.contracts.inputs import numbers_by_name
    from tasks.platform.step_runner import StepRunner

    runner = StepRunner()
    made = surgery.scale_teachers(runner, student, numbers_by_name(weights, "weights"))
    return Operated(text_of(summary_of(runner.store, made.digest)), made)
