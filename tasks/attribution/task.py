"""Flyte tasks of the audit."""

from lineage.artifacts import Artifact
from tasks.hosting import hosted, show
from tasks.resources import Stage


@hosted(Stage.AUDIT)
def gather_behaviours(  # noqa: PLR0913, PLR0917 - one for each input of the launch form
    student: str,
    system: str,
    prompt: str,
    response: str,
    contrast: str,
    behaviours: str,
    sample: int,
    seed: int,
    replay: bool,  # noqa: FBT001 - a switch of the launch form
) -> Artifact:
    """Check and store the behaviours that are asked about, or draw them from the student."""
    from tasks.attribution.question import AuditQuestion, gather
    from tasks.step import Bench

    question = AuditQuestion(
        system=system,
        prompt=prompt,
        response=response,
        contrast=contrast,
        behaviours=behaviours,
        sample=sample,
    )
    return gather(Bench(), student, question, seed, replay=replay)


@hosted(Stage.AUDIT, deck=True)
def run_audit(
    student: str,
    behaviours: Artifact,
    replayed: list[Artifact],
    retrained: list[Artifact],
    seed: int,
) -> Artifact:
    """Split the behaviours by source, compare with the retrains, draw the page."""
    from tasks.attribution import audit
    from tasks.step import Bench

    bench = Bench()
    artifact = audit.run_audit(bench, student, behaviours, replayed, retrained, seed)
    show("audit", audit.read_page(bench, artifact))
    return artifact


@hosted(Stage.AUDIT)
def scale_teachers(student: str, weights: list[str]) -> Artifact:
    """Take teachers out of a student by its ledger, or change their weight."""
    from tasks.attribution import surgery
    from tasks.inputs import numbers_by_name
    from tasks.step import Bench

    return surgery.scale_teachers(Bench(), student, numbers_by_name(weights, "weights"))
