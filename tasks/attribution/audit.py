"""The audit: takes a question about a student, and records one document and one page.

This is the entry point for Python; ``provost audit`` and the workflow ``audit`` call the same
steps.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from lineage.records.system_prompt import SYSTEM_PROMPT
from lineage.rules.audit import check_audit
from lineage.rules.evidence import Evidence, refuse_broken
from tasks.attribution.behavior import Behavior
from tasks.attribution.counterfactual import masked_in
from tasks.attribution.document import DOCUMENT, PAGE, Audit
from tasks.attribution.findings import Findings
from tasks.attribution.opened import open_models
from tasks.attribution.page import render
from tasks.attribution.question import read_stored
from tasks.attribution.subject import (
    AuditedStudent,
    check_may_audit,
    find_subject,
)
from tasks.contracts.publication import publish
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner


def explain(
    runner: StepRunner, student: str, behaviors: Sequence[Behavior], seed: int = 0
) -> Audit:
    """Return the audit of behaviors, without recording anything.

    Raises:
        LineageError: for a reference that names nothing.
        ValueError: for a student without a ledger of its own, or a response that its tokenizer
            cannot give.
    """
    subject = find_subject(runner, student)
    models = open_models(runner, subject)
    return Findings(runner, subject, models, behaviors, seed).document({}, {}, ())


def run_audit(
    runner: StepRunner,
    student: str,
    behaviors: Artifact,
    replayed: Sequence[Artifact],
    retrained: Sequence[Artifact],
    seed: int,
) -> Artifact:
    """Return a folder with ``audit.json`` and ``report.html``: the recorded one, or a new one.

    ``replayed`` is the replay of a ledger without displacements, if there is one. ``retrained`` are
    the checkpoints of the retrains; an empty list leaves the counterfactual out. The audit of a
    published student is registered as ``audit.<its name>``, and signed if there is a key.

    Raises:
        BrokenRuleError: for retrains or a ledger of another round than the student's.
        NotEntitledError: if this key may not register the audit of this student.
    """
    subject = find_subject(runner, student, replayed=next(iter(replayed), None))
    derivation = Derivation(
        project=runner.project,
        kind="audit",
        inputs=tuple(_inputs(runner, subject, behaviors, retrained)),
        source=source_digest("attribution", "reports", "statistics"),
        settings={"student": student},
        seed=seed,
    )

    refuse_broken("the audit", list(check_audit(Evidence(runner.store), derivation)))

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        report("audit", 0, 1, message="check the ledger against its student")
        behaviors_read = read_stored(runner, behaviors)
        findings = Findings(runner, subject, open_models(runner, subject), behaviors_read, seed)
        document = findings.document(
            {_called(item): item.artifact for item in derivation.inputs},
            _drawn(runner, behaviors),
            retrained,
        )
        out = folder / "audit"
        out.mkdir()
        (out / DOCUMENT).write_text(document.model_dump_json(indent=1) + "\n", "utf-8")
        (out / PAGE).write_text(render(document), "utf-8")
        report("audit", 1, 1)
        return out

    names = check_may_audit(runner, subject.manifest)
    made = runner.find_or_make(derivation, "audit", make, owner="consolidation")
    for name in names:
        publish(runner, name, made, owner="consolidation", note=student, aliases=())
    return made


def read_page(runner: StepRunner, audit: Artifact) -> str:
    """Return the page of a recorded audit."""
    return (runner.store.tree(audit.digest) / PAGE).read_text("utf-8")


def _inputs(
    runner: StepRunner, subject: AuditedStudent, behaviors: Artifact, retrained: Sequence[Artifact]
) -> list[Input]:
    parts = [
        ("student", "", subject.checkpoint),
        ("start", "", subject.start),
        *([("origin", "", subject.origin)] if subject.warmed_on else []),
        ("ledger", "", subject.ledger_artifact),
        ("behaviors", "", behaviors),
        *(("teacher", teacher.name, teacher.checkpoint) for teacher in subject.teachers),
        *(
            (SYSTEM_PROMPT, teacher.name, Artifact(kind="dataset", digest=teacher.reads))
            for teacher in subject.teachers
            if teacher.reads
        ),
        *(("retrain", _left_out(runner, each), each) for each in retrained),
    ]
    return [Input.of(role, part, name) for role, name, part in parts]


def _left_out(runner: StepRunner, retrained: Artifact) -> str:
    """Return the masked teachers and the seed of a retrain in words."""
    derivation = runner.records.read(retrained.record)
    masked = " and ".join(masked_in(derivation)) or "no teacher"
    return f"without {masked}, seed {derivation.seed}"


def _called(item: Input) -> str:
    return f"{item.role} {item.name}".strip()


def _drawn(runner: StepRunner, behaviors: Artifact) -> Mapping[str, str]:
    """Return how the behaviors were drawn, from the notes of their record."""
    made = runner.records.output(behaviors.record) if behaviors.record else None
    noted = made.notes.get("drawn") if made else None
    return {name: str(text) for name, text in noted.items()} if isinstance(noted, dict) else {}
