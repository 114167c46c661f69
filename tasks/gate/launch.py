"""The record of a launch: the plan, the form, and the person if known."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import JsonValue

from lineage.artifacts import Artifact
from lineage.digest import canonical_json
from lineage.launches.launch import LAUNCH, LAUNCH_SOURCE, LAUNCHER, REPORT, Launched
from lineage.records.record import Derivation, Input
from tasks.contracts.handover import Plan
from tasks.platform.attempt import InterruptedAttemptError
from tasks.platform.measurements import Measurements
from tasks.platform.provenance import person
from tasks.platform.step_runner import StepRunner, now


@contextmanager
def launching(runner: StepRunner, plan: Plan, launched: Launched) -> Iterator[None]:
    """Record the launch if an error ends it here: it came no further than this plan."""
    try:
        yield
    except InterruptedAttemptError:  # the next attempt goes on
        raise
    except Exception:
        record_launch(runner, plan, launched)
        raise


def record_launch(
    runner: StepRunner, plan: Plan, launched: Launched, report: Artifact | None = None
) -> str:
    """Attest that the runner's execution launched a plan; return the record.

    ``report`` is the gate's report on this plan; None for a launch that ends before the gate.

    A second attempt in the same execution adds no attestation, nor does a local rerun of the same
    launch. Only local runs know who launched: Flyte gives its pods no name.
    """
    assert plan.artifact is not None
    settings: dict[str, JsonValue] = launched.model_dump(mode="json")
    derivation = Derivation(
        project=runner.project,
        kind=LAUNCH,
        inputs=(Input.of("plan", plan.artifact),),
        source=LAUNCH_SOURCE,
        settings=settings,
        seed=launched.seed,
    )
    run, record = runner.run, derivation.digest()
    who = "" if run else person()
    known = [
        (each.flyte.name if each.flyte else "", each.notes.get(LAUNCHER, ""))
        for each in runner.records.history(record)
    ]
    if (run.name if run else "", who) in known:
        return record
    notes: dict[str, JsonValue] = {LAUNCHER: who} if who else {}
    if report is not None:
        notes[REPORT] = {"artifact": report.digest, "record": report.record}
    measurements = Measurements(LAUNCH, notes=notes)
    started = now()
    with tempfile.TemporaryDirectory(prefix="provost-") as folder:
        path = Path(folder) / "launch.json"
        path.write_bytes(canonical_json(settings))
        made = runner.commit(derivation, LAUNCH, path, started, measurements, owner="consolidation")
    return made.record
