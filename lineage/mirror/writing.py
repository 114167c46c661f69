"""Writes the content of a record into its run, in calls that MLflow takes; repeating is safe."""

from typing import TYPE_CHECKING

from lineage.mirror.content import Content, dataset_input
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
