"""Flyte tasks of trace distillation."""

from lineage.artifacts import Artifact
from tasks.distil_traces.settings import ForeignTraces, TraceSettings
from tasks.platform.hosting import hosted
from tasks.platform.resources import Stage


@hosted(Stage.COLLECT)
def distil_traces(
    traces: list[Artifact], settings: TraceSettings, seed: int, owner: str
) -> Artifact:
    """Make demonstrations of teachers' answers: one set for one SFT."""
    from tasks.distil_traces import steps
    from tasks.platform.step_runner import StepRunner

    return steps.distil_traces(StepRunner(), traces, settings, seed, owner)


@hosted(Stage.COLLECT)
def import_traces(traces: ForeignTraces, owner: str) -> Artifact:
    """Bring in answers of a model that others serve, with their declared origin and license."""
    from tasks.distil_traces import steps
    from tasks.platform.step_runner import StepRunner

    return steps.import_traces(StepRunner(), traces, owner)
