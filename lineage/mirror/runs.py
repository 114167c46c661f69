"""Records as MLflow runs, with their parents, data sets and logged models.

Everything is found by digests in tags, because most of MLflow's own calls are not idempotent.
"""

from typing import TYPE_CHECKING

from lineage.checkpoint import checkpoint_behind
from lineage.digest import digest_json
from lineage.mirror.files import REPORTS, show_files
from lineage.mirror.live import LiveRuns, Step
from lineage.mirror.lookup import Lookup
from lineage.mirror.story import story_of_run, story_while_running
from lineage.record import Attestation, Derivation, Input, Records
from lineage.store import Store
from lineage.view import (
    DIGEST,
    MAX_TAG,
    NOT_FINITE,
    NOTE,
    OUTPUTS,
    PARENT,
    RECORD,
    MetricRow,
    RunView,
    area_of,
    clip,
    metrics_of,
    namespace_of,
    plan_of,
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
        self.live = LiveRuns(client)

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

    def address(self, record: str) -> str:
        """Return where MLflow's pages show a record; "" for one that they do not."""
        run = self.find(record) if record else None
        return f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}" if run else ""

    def _missing_parents(self, digest: str) -> list[str]:
        wanted = [*self._records.parents(digest), self._consolidation(digest)]
        return [parent for parent in wanted if parent and not self._is_shown(parent)]

    def _consolidation(self, digest: str) -> str:
        """Return the record of the first plan behind a step, under whose run it is listed.

        "" for what belongs to no consolidation, and for the plan itself.
        """
        found, current = "", digest
        while attestations := self._records.attestations(current):
            current = plan_of(self._records.read(current), attestations[-1])
            if not current:
                break
            found = current
        return found

    def _outputs(self, digest: str) -> str:
        """Return a digest of what a record gave so far: its view is complete up to these."""
        outputs = {item.output for item in self._records.attestations(digest)}
        return digest_json([*sorted(outputs)])

    def _is_shown(self, digest: str) -> bool:
        if digest not in self._shown:
            run = self.find(digest)
            if run is None or run.info.status not in {"FINISHED", "FAILED"}:
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
        tags = view.tags | self._words(digest, derivation, attestations[-1])
        found = self.find(digest)
        run = found or self._create_run(view, tags)
        run_id = run.info.run_id
        self._log_inputs(run_id, derivation)
        self._log(run_id, view, metrics_of(self._store, attestations[-1]), derivation)
        self._log_outputs(run, attestations, search=found is not None)
        self._show_files(run_id, derivation, attestations[-1])
        # Last what makes it complete, of a view that was cut off too.
        if found:
            self._client.update_run(run_id, name=view.name)
        self._log_tags(run_id, {OUTPUTS: outputs} | (tags if found else {}))
        status = "FAILED" if view.failed else "FINISHED"
        self._client.set_terminated(run_id, status, view.finished_ms or None)
        self._shown[digest] = outputs

    def _words(
        self, digest: str, derivation: Derivation, attestation: Attestation
    ) -> dict[str, str]:
        """Return the tags that lead to other runs: the description and the parent."""
        words = {NOTE: story_of_run(derivation, attestation, self.address)}
        consolidation = self._consolidation(digest)
        parent = self.find(consolidation) if consolidation else None
        return words | ({PARENT: parent.info.run_id} if parent else {})

    def find(self, digest: str) -> "Run | None":
        """Return the run of a record, if MLflow has one."""
        if digest not in self._found:
            area = area_of(self._records.read(digest).kind)
            self._found[digest] = self._run_in(area, digest)
        return self._found[digest]

    def _run_in(self, area: str, digest: str) -> "Run | None":
        condition = f"tags.`{RECORD}` = '{digest}'"
        found = self._client.search_runs([self.lookup.experiment(area)], condition)
        runs = sorted(found, key=lambda run: run.info.run_id)
        # Two machines that look at one moment both find nothing and both create. Everybody then
        # keeps the same one.
        for other in runs[1:]:
            self._client.delete_run(other.info.run_id)
        return runs[0] if runs else None

    def show_live(self, step: Step) -> None:
        """Show a step that has no output yet, with what it has measured since the last time."""
        digest, derivation = step.derivation.digest(), step.derivation
        run_id = self.live.run_ids.get(digest)
        if run_id is None:
            area = area_of(derivation.kind)
            before = self._run_in(area, digest)
            if before and OUTPUTS in before.data.tags:
                return  # it was finished once, and is made again because its output was lost
            if before:
                self.live.set_aside(before)
            self.lookup.forget_experiments()
            words = story_while_running(derivation, self.address)
            run_id = self.live.begin(step, self.lookup.experiment(area), words)
            self._log_inputs(run_id, derivation)
        self.live.log(step, run_id)

    def _create_run(self, view: RunView, tags: dict[str, str]) -> "Run":
        experiment = self.lookup.experiment(view.area)
        run = self._client.create_run(experiment, view.started_ms or None, tags, view.name)
        self._found[view.record] = run
        return run

    def _log(
        self, run_id: str, view: RunView, rows: list[MetricRow], derivation: Derivation
    ) -> None:
        from mlflow.entities import Metric, Param

        params = [Param(key, value) for key, value in sorted(view.params.items())]
        finite, others = split_finite(rows)
        if others:
            self._client.set_tag(run_id, NOT_FINITE, clip(others, MAX_TAG))
        about = self._measured(derivation)
        metrics = [
            Metric(row.name, row.value, row.at or view.finished_ms, row.step, **about)
            for row in finite
            if row not in self.live.logged(view.record)
        ]
        # one call takes at most 100 params, and 1000 of both together
        for number in range(max(-(-len(params) // 100), -(-len(metrics) // 900))):
            some = params[number * 100 :][:100]
            self._client.log_batch(run_id, metrics[number * 900 :][:900], some)

    def _measured(self, derivation: Derivation) -> dict[str, str]:
        """Return which checkpoint an evaluation's metrics are of, and on which data."""
        if derivation.kind != "evaluation":
            return {}
        models = [model for item in derivation.inputs if (model := self._input_model(item))]
        prompts = [dataset_of(item) for item in derivation.inputs if item.role == "prompts"]
        if len(models) != 1 or len(prompts) != 1:
            return {}
        name, digest = prompts[0]
        return {"model_id": models[0], "dataset_name": name, "dataset_digest": digest}

    def _log_tags(self, run_id: str, tags: dict[str, str]) -> None:
        from mlflow.entities import RunTag

        rows = [RunTag(key, value) for key, value in sorted(tags.items())]
        for start in range(0, len(rows), 100):
            self._client.log_batch(run_id, tags=rows[start : start + 100])

    def _show_files(self, run_id: str, derivation: Derivation, attestation: Attestation) -> None:
        """Put a report among the artifacts of its run, and of the student's that it is about."""
        if attestation.output_kind not in REPORTS:
            return
        students = [item.record for item in derivation.inputs if item.role == "student"]
        about = [run.info.run_id for record in students if record and (run := self.find(record))]
        show_files(self._client, self._store, attestation.output, [run_id, *about])

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


def dataset_of(item: Input) -> tuple[str, str]:
    """Return the name and the digest by which MLflow knows an input that is no model."""
    name = clip(f"{item.role} {item.name}".strip(), 500)
    return name, item.artifact.removeprefix("sha256:")[:36]  # all that MLflow's column holds


def _dataset(item: Input) -> "DatasetInput":
    """Return an input that is no model as MLflow's dataset, with its whole digest as a tag."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    name, digest = dataset_of(item)
    dataset = Dataset(name=name, digest=digest, source_type="provost", source=item.artifact)
    tags = [InputTag("mlflow.data.context", clip(item.role, 250)), InputTag(DIGEST, item.artifact)]
    return DatasetInput(dataset, tags)
