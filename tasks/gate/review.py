"""The record that a plan came through its review: no student of it is published without."""

from pathlib import Path

from lineage.artifacts import Artifact
from lineage.digest import canonical_json
from lineage.record import Derivation
from lineage.rules.evidence import Evidence, refuse_broken
from lineage.rules.others import check_review
from tasks.gate.probed import asked
from tasks.handover import Gated
from tasks.planned import refuse_changed
from tasks.provenance import source_digest
from tasks.step import Bench, Measurements


def record_review(bench: Bench, gated: Gated) -> Gated:
    """Return what came through the node where a person is asked, with the record of it.

    Raises:
        LineageError: for a plan that is not as it was stored: nobody has seen that one.
        BrokenRuleError: for a report of the gate on another plan.
    """
    refuse_changed(bench, gated.plan)
    assert gated.plan.artifact is not None
    derivation = Derivation(
        project=bench.project,
        kind="review",
        inputs=(asked("plan", gated.plan.artifact), asked("gate", gated.report)),
        source=source_digest("gate"),
        settings={},
        seed=0,
    )
    breaches = list(check_review(Evidence(bench.store), derivation))
    refuse_broken("the review", breaches)
    approval = _recorded(bench, derivation, gated)
    return gated.model_copy(update={"approval": approval})


def _recorded(bench: Bench, derivation: Derivation, gated: Gated) -> Artifact:
    [plan] = [item.artifact for item in derivation.inputs if item.role == "plan"]

    def make(folder: Path, measurements: Measurements) -> Path:
        path = folder / "review.json"
        path.write_bytes(canonical_json({"plan": plan, "gate": gated.report.digest}))
        return path

    return bench.find_or_make(derivation, "review", make, owner="consolidation")
