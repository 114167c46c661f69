"""Whether a run shows what its record says: MLflow lets everybody write everything."""

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lineage.mirror.content import Content, dataset_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

Point = tuple[int, int, float]
"""Step, time in milliseconds, value."""


def difference(
    client: "MlflowClient", run_id: str, content: Content, outputs: set[str], status: str
) -> str:
    """Return the first thing in which a run is not what its record says, "" where it is.

    ``outputs`` are the logged models that it should have given, and ``status`` is how it ended.
    Tags are not looked at: they are set anew at no cost.
    """
    run = client.get_run(run_id)
    if run.info.status != status:
        return f"the status is {run.info.status}"
    if run.data.params != content.view.params:
        return "the settings differ"
    if _models(run) != set(content.models) or _datasets(run) != {
        *map(dataset_of, content.datasets)
    }:
        return "the inputs differ"
    given = {item.model_id for item in run.outputs.model_outputs} if run.outputs else set()
    if given != outputs:
        return "the outputs differ"
    return _metrics(client, run, content.metrics)


def _models(run: "Run") -> set[str]:
    return {item.model_id for item in run.inputs.model_inputs} if run.inputs else set()


def _datasets(run: "Run") -> set[tuple[str, str]]:
    found = run.inputs.dataset_inputs if run.inputs else []
    return {(item.dataset.name, item.dataset.digest) for item in found}


def _metrics(client: "MlflowClient", run: "Run", wanted: "list[Metric]") -> str:
    by_name: dict[str, list[Metric]] = defaultdict(list)
    for metric in wanted:
        by_name[metric.key].append(metric)
    if set(run.data.metrics) != set(by_name):
        return "other metrics are there"
    for name, metrics in by_name.items():
        shown = client.get_metric_history(run.info.run_id, name)
        if _points(shown) != _points(metrics):
            return f"the values of {name} differ"
    return ""


def _points(metrics: "Iterable[Metric]") -> list[Point]:
    return sorted({(metric.step, metric.timestamp, metric.value) for metric in metrics})
