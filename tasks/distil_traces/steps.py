"""The steps of trace distillation: demonstrations of several sources, and traces from elsewhere."""

from collections.abc import Sequence
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.declared import FOREIGN_TRACES
from lineage.digest import digest_file
from lineage.records.record import Derivation, Input
from tasks.contracts.named import refuse_repeated_names
from tasks.contracts.refusal import RefusedError
from tasks.distil_traces.mixture import (
    Trace,
    mix,
    shares_of,
    trace_of_demonstration,
    trace_of_response,
)
from tasks.distil_traces.settings import ForeignTraces, TraceSettings
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import stored_demonstrations, stored_responses
from tasks.rollout.prompts import read_demonstrations, write_demonstrations
from tasks.rollout.responses import RESPONSES

_DATASET = "dataset"
_ROLES = {RESPONSES: "responses", _DATASET: "data"}


def distil_traces(
    runner: StepRunner,
    traces: Sequence[Artifact],
    settings: TraceSettings,
    seed: int,
    owner: str = "",
) -> Artifact:
    """Return demonstrations of the sources' answers, for one SFT.

    Args:
        runner: Runs the step.
        traces: For each source, responses or demonstrations, in the order of the settings.
        settings: What each source gives, and the weights.
        seed: Decides which answers are drawn.
        owner: Team that the record names.

    Raises:
        RefusedError: ``other-kind`` for anything but responses and demonstrations, ``unnamed`` for
            another number of traces than sources, ``repeated-name``; and as ``mixture.mix``.
    """
    sources = settings.sources
    if len(traces) != len(sources):
        raise RefusedError(
            "unnamed",
            f"{len(traces)} sets of traces are given for {len(sources)} sources: give one for "
            "each, in the same order",
        )
    refuse_repeated_names([source.name for source in sources], "sources")
    for source, each in zip(sources, traces, strict=True):
        if each.kind not in _ROLES:
            raise RefusedError(
                "other-kind",
                f"source {source.name!r} takes responses or a dataset of demonstrations, and "
                f"{each.digest} is a {each.kind}: sample responses from it first, or pass another",
            )
    derivation = Derivation(
        project=runner.project,
        kind="traces",
        inputs=tuple(
            Input(
                role=_ROLES[each.kind],
                artifact=each.digest,
                record=each.record,
                name=source.name,
                weight=share,
            )
            for source, each, share in zip(sources, traces, shares_of(settings), strict=True)
        ),
        source=source_digest("distil_traces"),
        settings=settings.model_dump(mode="json"),
        seed=seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        mixture = mix([_read(runner, each) for each in traces], settings, seed)
        for name, counts in mixture.counts.items():
            measurements.add(0, {f"{what}/{name}": count for what, count in counts.items()})
        report("traces", 1, 1, demonstrations=len(mixture.rows))
        file = folder / "traces.jsonl"
        write_demonstrations(file, mixture.rows)
        return file

    return runner.find_or_make(derivation, _DATASET, make, owner)


def _read(runner: StepRunner, traces: Artifact) -> list[Trace]:
    if traces.kind == RESPONSES:
        return [trace_of_response(each) for each in stored_responses(runner.store, traces)]
    return [trace_of_demonstration(each) for each in stored_demonstrations(runner.store, traces)]


def import_traces(runner: StepRunner, traces: ForeignTraces, owner: str = "") -> Artifact:
    """Return demonstrations of a model that others serve, with what is declared of them.

    The record has no inputs: what the model descends from is unknown. ``lineage show`` and every
    plan of a model that descends from them say so.

    Raises:
        RefusedError: ``no-data-file`` if the file does not exist.
        PromptError: for a line that is not a demonstration.
    """
    file = Path(traces.file)
    if not file.is_file():
        raise RefusedError(
            "no-data-file", f"{file} is not a file: give a JSONL file of demonstrations"
        )
    rows = read_demonstrations(file)
    derivation = Derivation(
        project=runner.project,
        kind=FOREIGN_TRACES,
        inputs=(),
        source=source_digest("distil_traces"),
        settings={
            "files": {file.name: digest_file(file)},
            "declared": traces.declared.model_dump(mode="json"),
        },
        seed=0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        measurements.notes["license"] = traces.declared.license
        measurements.add(0, {"demonstrations": len(rows)})
        made = folder / "traces.jsonl"
        write_demonstrations(made, rows)
        return made

    return runner.find_or_make(derivation, _DATASET, make, owner)
