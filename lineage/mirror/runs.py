"""Records as MLflow runs, with their parents, data sets and logged models.

Everything is found by digests in tags, because most of MLflow's own calls are not idempotent.
"""

from typing import TYPE_CHECKING

from lineage.checkpoint import checkpoint_behind
from lineage.digest import digest_json
from lineage.mirror.lookup import Lookup
from lineage.record import Attestation, Derivation, Input, Records
from lineage.store import Store
from lineage.view import (
    DIGEST,
    MAX_TAG,
    NOT_FINITE,
    OUTPUTS,
    RECORD,
    MetricRow,
    RunView,
    clip,
    metrics_of,
    namespace_of,
    split_finite,
    step_of,
    view_of,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run


class Runs:
    """The records of one store in one MLflow. The caller holds ``only_writer``."""

    def __init__(self, client: "MlflowClient", uri: str, store: Store) -> None:
        """Show records of ``store`` in the MLflow of ``client``, at ``uri``."""
        self._client = client
        self._store = store
        self._records = Records(store)
        self.lookup = Lookup(client, uri, self._records, namespace_of(store.uri))
        self._shown: dict[str, str] = {}
        self._found: dict[str, Run | None] = {}

    def show(self, digest: str) -> None:
        """Show a record after the records that it descends from."""
        self._found.clear()  # what MLflow has may have changed since this process looked
        self.lookup.forget_experiments()
        todo = [digest]
        while todo:
            current = todo[-1]
            missing = [] if self._is_shown(current) else self._missing_parents(current)
            todo += missing
            if not missing:
                todo.pop()
                self._show_one(current)

    def forget(self) -> None:
        """Look everything up anew from now on: others may have changed it."""
        self._shown.clear()
        self._found.clear()
        self.lookup.forget()

    def _missing_parents(self, digest: str) -> list[str]:
        return [parent for parent in self._records.parents(digest) if not self._is_shown(parent)]

    def _outputs(self, digest: str) -> str:
        """Return a digest of what a record gave so far: its view is complete up to these."""
        outputs = {item.output for item in self._records.attestations(digest)}
        return digest_json([*sorted(outputs)])

    def _is_shown(self, digest: str) -> bool:
        if digest not in self._shown:
            run = self.find(digest)
            if run is None or run.info.status != "FINISHED":
                return False
            self._shown[digest] = run.data.tags.get(OUTPUTS, "")
        return self._shown[digest] == self._outputs(digest)

    def _show_one(self, digest: str) -> None:
        """Create a record's run, or finish what a killed process began."""
        attestations = self._records.attestations(digest)
        if not attestations or self._is_shown(digest):
            return  # without an attestation nothing has come out yet
        derivation, outputs = self._records.read(digest), self._outputs(digest)
        view = view_of(digest, derivation, attestations[-1])
        found = self.find(digest)
        run = found or self._create_run(view, outputs)
        self._log(run.info.run_id, view, metrics_of(self._store, attestations[-1]))
        self._log_inputs(run.info.run_id, derivation)
        self._log_outputs(run, attestations, search=found is not None)
        if found:  # a view that was cut off, or a derivation that has given another output since
            self._client.set_tag(run.info.run_id, OUTPUTS, outputs)
        self._client.set_terminated(run.info.run_id, end_time=view.finished_ms or None)
        self._shown[digest] = outputs

    def find(self, digest: str) -> "Run | None":
        """Return the run of a record, if MLflow has one."""
        if digest not in self._found:
            experiment = self.lookup.experiment(self._records.read(digest).kind)
            condition = f"tags.`{RECORD}` = '{digest}'"
            runs = sorted(
                self._client.search_runs([experiment], condition), key=lambda run: run.info.run_id
            )
            # Two machines that look at one moment both find nothing and both create. Everybody
            # then keeps the same one.
            for other in runs[1:]:
                self._client.delete_run(other.info.run_id)
            self._found[digest] = runs[0] if runs else None
        return self._found[digest]

    def _create_run(self, view: RunView, outputs: str) -> "Run":
        experiment = self.lookup.experiment(view.experiment)
        started, tags = view.started_ms or None, view.tags | {OUTPUTS: outputs}
        return self._client.create_run(experiment, started, tags, view.name)

    def _log(self, run_id: str, view: RunView, rows: list[MetricRow]) -> None:
        from mlflow.entities import Metric, Param

        params = [Param(key, value) for key, value in sorted(view.params.items())]
        finite, others = split_finite(rows)
        if others:
            self._client.set_tag(run_id, NOT_FINITE, clip(others, MAX_TAG))
        metrics = [Metric(row.name, row.value, view.finished_ms, row.step) for row in finite]
        # one call takes at most 100 params, and 1000 of both together
        for number in range(max(-(-len(params) // 100), -(-len(metrics) // 900))):
            some = params[number * 100 :][:100]
            self._client.log_batch(run_id, metrics[number * 900 :][:900], some)

    def _log_inputs(self, run_id: str, derivation: Derivation) -> None:
        from mlflow.entities import LoggedModelInput

        models, datasets = {}, []
        for item in derivation.inputs:
            model = self._input_model(item)
            if model:
                models[model] = LoggedModelInput(model)
            else:
                datasets.append(_dataset(item))
        if models or datasets:
            self._client.log_inputs(run_id, datasets=datasets, models=list(models.values()))

    def _log_outputs(self, run: "Run", attestations: list[Attestation], *, search: bool) -> None:
        from mlflow.entities import LoggedModelOutput

        present = {item.model_id for item in run.outputs.model_outputs} if run.outputs else set()
        for attestation in attestations:
            record = attestation.derivation
            if attestation.output_kind != "checkpoint":
                continue
            find = self.lookup.model if search else self.lookup.new_model
            model = find(attestation.output, record, run.info.run_id)
            if model not in present:  # repeating an output is an IntegrityError in MLflow
                step = step_of(self._records.read(record), attestation)
                self._client.log_outputs(run.info.run_id, [LoggedModelOutput(model, step)])
                present.add(model)

    def _input_model(self, item: Input) -> str | None:
        """Return the logged model behind an input, looking through a release to its checkpoint."""
        checkpoint = checkpoint_behind(self._store, self._records, item.artifact, item.record)
        return self.lookup.model(checkpoint.digest, checkpoint.record) if checkpoint else None


def _dataset(item: Input) -> "DatasetInput":
    """Return an input that is no model as MLflow's dataset, with its whole digest as a tag."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    name = clip(f"{item.role} {item.name}".strip(), 500)
    short = item.artifact.removeprefix("sha256:")[:36]  # all that MLflow's column holds
    dataset = Dataset(name=name, digest=short, source_type="provost", source=item.artifact)
    tags = [InputTag("mlflow.data.context", clip(item.role, 250)), InputTag(DIGEST, item.artifact)]
    return DatasetInput(dataset, tags)
