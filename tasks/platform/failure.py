"""The record of a failure: what a step ended with, in which execution, what there is already.

The step that fails writes it before it ends. Flyte's failure node writes it where the step could
not (its pod was killed, or ran out of time), and finds it otherwise. So each failure leaves one.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from pydantic import JsonValue

from lineage.artifacts import Artifact
from lineage.graph.graph import Lineage
from lineage.records.derivation import FlyteRun
from lineage.records.record import Attestation, Derivation, Input
from lineage.registry.survey import readable_attestations
from tasks.platform.measurements import Measurements
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner, now

KIND = "failure"
_MOST_CHARACTERS = 4_000
"""Maximum length of the recorded traceback."""


@runtime_checkable
class OfPlan(Protocol):
    """An input that belongs to a plan: the plan itself, or what was made of it."""

    @property
    def plan_artifact(self) -> Artifact | None:
        """The plan in the store."""


@dataclass(frozen=True)
class Failure:
    """What a task ended with; two of the same on two machines are equal but for the frames."""

    task: str
    type: str
    """Type of the error, such as RecalledError."""
    sentence: str
    frames: str = ""


@dataclass(frozen=True)
class Work:
    """What a step that failed was doing."""

    inputs: Sequence[Input] = ()
    """The recorded inputs of the work."""
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    made: Sequence[JsonValue] = ()
    """Finished results, which a rerun will find."""
    seed: int = 0


def leave_record(runner: StepRunner, failure: Failure, work: Work) -> Artifact:
    """Write a record of kind "failure"; the same failure again attests anew."""
    started = now()
    said: dict[str, JsonValue] = {
        "task": failure.task,
        "type": failure.type,
        "error": failure.sentence,
        **work.settings,
    }
    derivation = Derivation(
        project=runner.project,
        kind=KIND,
        inputs=tuple(work.inputs),
        source=source_digest("mopd"),
        settings=said,
        seed=work.seed,
    )
    with tempfile.TemporaryDirectory(prefix="provost-") as folder:
        path = Path(folder, "failure.json")
        path.write_text(json.dumps(said, indent=1), encoding="utf-8")
        notes = Measurements(KIND)
        notes.notes["made"] = list(work.made)
        if failure.frames:
            notes.notes["frames"] = failure.frames[:_MOST_CHARACTERS]
        owner = runner.run.project if runner.run else ""
        return runner.commit(derivation, KIND, path, started, notes, owner)


def of_execution(runner: StepRunner, run: FlyteRun) -> list[str]:
    """Return the failure records that an execution of this project has left."""
    return [
        record
        for record, attested in failures(runner)
        if attested.flyte
        and attested.flyte.name == run.name
        and runner.records.read(record).project == runner.project
    ]


def failures(runner: StepRunner) -> Iterator[tuple[str, Attestation]]:
    """Yield every failure that may be recorded by its project: the record, and each run."""
    for record in Lineage(runner.store).index.of_kind(KIND):
        made = runner.records.read(record)
        for attested in readable_attestations(runner.records, record):
            if may_tell_of(runner, made, attested):
                yield record, attested


def may_tell_of(runner: StepRunner, made: Derivation, attested: Attestation) -> bool:
    """Return whether a record's project may say how an execution in Flyte ended.

    The execution's own may, and the runner's; any may where the execution's project has no
    statements in this store.
    """
    run = attested.flyte
    if run is None or made.project in {run.project, runner.project}:
        return True
    return run.project not in runner.records.journal.projects


def recorded_inputs(inputs: Mapping[str, object]) -> list[Input]:
    """Return the inputs of a failed step: its plan where it has one, else its artifacts by name."""
    given = [value.plan_artifact for value in inputs.values() if isinstance(value, OfPlan)]
    plans = [plan for plan in given if plan is not None]
    if plans:
        return [Input.of("plan", plans[0])]
    return [
        Input.of(name, value)
        for name, value in inputs.items()
        if isinstance(value, Artifact) and value.record
    ]
