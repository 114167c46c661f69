"""Writes the content of a record into its run, and compares a run with its record.

MLflow lets everybody write everything, so a run may differ from its record. Writing takes calls of
a size that MLflow accepts, and repeating it is safe.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lineage.mirror.content import Content, dataset_input, dataset_of
from lineage.mirror.lookup import Lookup
from lineage.records.record import Input

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run


MOST_METRICS, MOST_PARAMS, MOST_TAGS = 900, 100, 100
"""Most entries of each kind in one call; MLflow allows 1000 metrics and params together."""


class Writer:
    """Writes into the runs of one MLflow."""

    def __init__(self, client: "MlflowClient", lookup: Lookup) -> None:
        """Write with ``client``; ``lookup`` finds or creates the logged models of outputs."""
        self._client, self._lookup = client, lookup

    def values(self, run_id: str, params: dict[str, str], metrics: "list[Metric]") -> None:
        """Log settings and metrics."""
        from mlflow.entities import Param

        rows = [Param(key, value) for key, value in sorted(params.items())]
        calls = max(-(-len(rows) // MOST_PARAMS), -(-len(metrics) // MOST_METRICS))
        for number in range(calls):
            some = rows[number * MOST_PARAMS :][:MOST_PARAMS]
            self._client.log_batch(run_id, metrics[number * MOST_METRICS :][:MOST_METRICS], some)

    def tags(self, run_id: str, tags: dict[str, str]) -> None:
        """Set tags."""
        from mlflow.entities import RunTag

        rows = [RunTag(key, value) for key, value in sorted(tags.items())]
        for start in range(0, len(rows), MOST_TAGS):
            self._client.log_batch(run_id, tags=rows[start : start + MOST_TAGS])

    def inputs(self, run_id: str, models: tuple[str, ...], datasets: tuple[Input, ...]) -> None:
        """Log inputs: models as edges, everything else as data sets."""
        from mlflow.entities import LoggedModelInput

        if models or datasets:
            self._client.log_inputs(
                run_id, [*map(dataset_input, datasets)], [*map(LoggedModelInput, models)]
            )

    def outputs(self, run: "Run", content: Content, *, search: bool) -> None:
        """Log each checkpoint that came out; ``search`` for models that may be there already."""
        from mlflow.entities import LoggedModelOutput

        run_id, find = run.info.run_id, self._lookup.model if search else self._lookup.new_model
        present = {item.model_id for item in run.outputs.model_outputs} if run.outputs else set()
        for digest, step in content.outputs:
            model = find(digest, content.view.record, run_id)
            if model not in present:  # repeating an output is an IntegrityError in MLflow
                self._client.log_outputs(run_id, [LoggedModelOutput(model, step)])
                present.add(model)


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
