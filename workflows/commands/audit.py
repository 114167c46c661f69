"""``provost audit`` and ``provost surgery``: attribute behavior to teachers, and remove them."""

import time
from pathlib import Path

import click

from lineage.store.store import home, open_store
from lineage.view.summary import command, summary_of
from tasks.attribution.document import Audit, RetrainResult, copy_audit, summary_of_audit
from workflows.audit import audit as audit_workflow
from workflows.audit import rehearsal as rehearsal_workflow
from workflows.audit import surgery as surgery_workflow
from workflows.commands.local import quiet, run_locally
from workflows.commands.models import conclude
from workflows.commands.output import as_json, say, tabulate


@click.command()
@click.argument("student")
@click.option("--system", default="", help="System prompt before the user message.")
@click.option("--prompt", default="", help="User message to the student.")
@click.option("--response", default="", help="The student's response to the prompt.")
@click.option("--contrast", default="", help="Response to contrast with.")
@click.option(
    "--behaviors",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of behaviors in JSON lines.",
)
@click.option("--sample", default=0, help="Number of the student's own responses per domain.")
@click.option(
    "--replay",
    is_flag=True,
    help="Compute approximate displacements from rollouts if the ledger has none.",
)
@click.option("--verify", default=0, help="Number of seeds for retrains without each teacher.")
@click.option("--subsets", default=0, help="Number of teacher sets to retrain without.")
@click.option("--seed", default=0, show_default=True, help="Random seed for samples and intervals.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the report.")
@as_json
def audit(  # noqa: PLR0917 - one option for each input of the launch form
    student: str,
    system: str,
    prompt: str,
    response: str,
    contrast: str,
    behaviors: Path | None,
    sample: int,
    replay: bool,
    verify: int,
    subsets: int,
    seed: int,
    out: Path | None,
    as_document: bool,
) -> None:
    """Find the teachers that shaped a behavior of STUDENT; without options, all its behavior."""
    quiet()
    started = time.monotonic()
    asked = run_locally(_put, behaviors) if behaviors else ""
    made = run_locally(
        audit_workflow,
        behaviors=asked,
        contrast=contrast,
        prompt=prompt,
        replay=replay,
        response=response,
        sample=sample,
        seed=seed,
        student=student,
        system=system,
        verify_seeds=verify,
        verify_subsets=subsets,
    )
    folder = out or home() / "audits" / made.report.digest.removeprefix("sha256:")[:12]
    found = copy_audit(made.report, folder)
    if not as_document:
        _tell(found)
    took = time.monotonic() - started
    summary = summary_of_audit(found, made.report, str(folder / "report.html"), took)
    conclude(summary, as_document)


@click.command()
@click.argument("student")
@click.option("--without", multiple=True, help="Teacher to leave out; may be repeated.")
@click.option("--weight", multiple=True, help="New weight of a teacher, such as math=0.5.")
@click.option(
    "--rehearse",
    is_flag=True,
    help="Repeat the round on the ledger's rollouts without these teachers: slower, and much "
    "closer to a retrain.",
)
@as_json
def surgery(
    student: str,
    without: tuple[str, ...],
    weight: tuple[str, ...],
    rehearse: bool,
    as_document: bool,
) -> None:
    """Remove a teacher's updates from STUDENT, using its ledger; records a new checkpoint."""
    quiet()
    started = time.monotonic()
    if rehearse and weight:
        raise click.ClickException(
            "--rehearse does not accept --weight: name the teachers to leave out with --without"
        )
    weights = [*(f"{name}=0" for name in without), *weight]
    made = (
        run_locally(rehearsal_workflow, without=list(without), student=student)
        if rehearse
        else run_locally(surgery_workflow, weights=weights, student=student)
    )
    summary = summary_of(open_store(), made.student.digest, time.monotonic() - started)
    truth = command("audit", student, "--verify", "1")
    warnings = [*summary.warnings, f"`{truth}` retrains, which is the truth."]
    ahead = {"warnings": warnings, "next": [truth, *summary.next]}
    conclude(summary.model_copy(update=ahead), as_document)


def _put(behaviors: Path) -> str:
    """Validate a file of behaviors line by line and store it; return its digest."""
    from tasks.attribution.behavior import read_behaviors

    read_behaviors(behaviors)
    return open_store().put_file(behaviors)


def _tell(found: Audit) -> None:
    say(found.verdict.sentence)
    say(f"Confidence: {found.verdict.confidence}")
    owners = {source.name: source.owner for source in found.sources}
    rows = [(found.start, f"{found.begun:+.2f}", "", "")]
    for name, share in found.shares.items():
        span = "" if share.low is None else f"{share.low:+.2f} to {share.high:+.2f}"
        rows.append((name, f"{share.mean:+.2f}", span, owners.get(name, "")))
    rows.append(("student", f"{found.ended:+.2f}", "", ""))
    tabulate(("source", "nats", "95 %", "ask"), rows)
    if found.verification:
        _tell_measured(found.verification)


def _tell_measured(found: RetrainResult) -> None:
    """Print the retrains' effects and the noise floor."""
    rows = []
    for each in found.effects:
        effect = each.effect
        span = "" if effect.low is None else f"{effect.low:+.2f} to {effect.high:+.2f}"
        seeds = " ".join(f"{value:+.2f}" for value in each.per_seed.values())
        rows.append((", ".join(each.masked), f"{effect.mean:+.2f}", span, seeds))
    say()
    tabulate(("retrained without", "its presence added", "95 %", "by seed"), rows)
    noise = "unknown with one seed" if found.noise is None else f"{found.noise:.2g} nats"
    say(f"noise floor between seeds: {noise}")
