"""MLflow as a view of the records: runs, logged models with their parents, registered models.

The records are the authority; this view can be thrown away and rebuilt (``reindex``). It is the
only module that imports MLflow, and it imports it late: MLflow takes seconds. Everything is found
by digests in tags, because most of MLflow's own calls are not idempotent.
"""

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from lineage.artifacts import Artifact
from lineage.checkpoint import checkpoint_behind
from lineage.digest import digest_json
from lineage.lookup import Lookup
from lineage.record import Attestation, Derivation, Input, Records
from lineage.registry import Entry, Registry
from lineage.store import Store, open_store
from lineage.tracking import (
    Health,
    as_default,
    calm,
    make_tables,
    only_writer,
    quiet,
    tracking_uri,
)
from lineage.view import (
    DIGEST,
    OUTPUTS,
    RECORD,
    VERSION,
    MetricRow,
    RunView,
    clip,
    metrics_of,
    step_of,
    view_of,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run
    from mlflow.entities.model_registry import ModelVersion

_health = Health()


class Reindexed(NamedTuple):
    """How much of the store ``reindex`` has shown in MLflow."""

    records: int
    names: int
    versions: int


def mirror_record(store: Store, digest: str) -> bool:
    """Show a record, and what it descends from, in MLflow; return whether MLflow has it now.

    Never raises for what goes wrong in MLflow: training goes on, the user is told once, and a
    later call or ``reindex`` catches up.
    """
    return _guarded(store, lambda mirror: mirror.record(digest))


def mirror_entry(store: Store, name: str) -> bool:
    """Show a registry name in MLflow, all versions and aliases; see ``mirror_record``."""
    return _guarded(store, lambda mirror: mirror.name(name))


def reindex(store: Store, uri: str | None = None) -> Reindexed:
    """Rebuild the whole view from the store, in an empty MLflow or over what is there.

    Raises what MLflow raises: who asks for a rebuild wants to know.
    """
    place = uri or tracking_uri()
    records, names = Records(store).all(), Registry(store).names()
    with calm():
        mirror = _Mirror(_client(place), place, store)
        for digest in records:
            with only_writer(place):
                mirror.record(digest)
        for name in names:
            with only_writer(place):
                mirror.name(name)
    versions = sum(len(Registry(store).versions(name)) for name in names)
    return Reindexed(len(records), len(names), versions)


def _guarded(store: Store, show: "Callable[[_Mirror], None]") -> bool:
    """Mirror one thing; note and tell a failure, but never let it reach a training run."""
    uri = tracking_uri()
    if _health.paused():
        return False
    try:
        with calm():
            mirror = _mirrors(_client(uri), uri, store.uri)
            with only_writer(uri):
                show(mirror)
    except Exception as error:  # noqa: BLE001 - MLflow, its database and HTTP raise all kinds
        _health.failed(uri, error)
        return False
    return True


@lru_cache(maxsize=4)
def _client(uri: str) -> "MlflowClient":
    """Return the client of a server or database, its tables made on first use."""
    quiet()
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    with only_writer(uri):  # two processes that create the tables at once would both fail
        make_tables(uri, _make_tables)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


def _make_tables(uri: str) -> None:
    from mlflow.store.db import utils

    engine = utils.create_sqlalchemy_engine(uri)  # type: ignore[no-untyped-call]
    utils._initialize_tables(engine)  # type: ignore[no-untyped-call]
    engine.dispose()


@lru_cache(maxsize=4)
def _mirrors(client: "MlflowClient", uri: str, store_uri: str) -> "_Mirror":
    """Return the mirror of a store: it remembers what this process has shown already."""
    return _Mirror(client, uri, open_store(store_uri))


class _Mirror:
    """The view of one store in one MLflow. The caller holds ``only_writer``."""

    def __init__(self, client: "MlflowClient", uri: str, store: Store) -> None:
        self._client = client
        self._uri = uri
        self._store = store
        self._records = Records(store)
        self._registry = Registry(store)
        self._lookup = Lookup(client, uri, self._records)
        self._shown: dict[str, str] = {}
        self._found: dict[str, Run | None] = {}

    def record(self, digest: str) -> None:
        """Show a record after the records that it descends from."""
        self._found.clear()  # what MLflow has may have changed since this process looked
        todo = [digest]
        while todo:
            current = todo[-1]
            missing = [] if self._is_shown(current) else self._missing_parents(current)
            todo += missing
            if not missing:
                todo.pop()
                self._show(current)

    def name(self, name: str) -> None:
        """Show every version and alias of a registry name."""
        if not self._client.search_registered_models(filter_string=f"name='{name}'"):
            self._client.create_registered_model(name)
        found = self._client.search_model_versions(f"name='{name}'")
        versions = {int(item.tags.get(VERSION, 0)): item for item in found}
        for entry in self._registry.versions(name):
            if entry.version not in versions:
                versions[entry.version] = self._create_version(entry)
            status = self._registry.status(name, entry.version)
            version = versions[entry.version]
            if version.tags.get("provost.status") != status:
                self._client.set_model_version_tag(name, version.version, "provost.status", status)
        current = self._client.get_registered_model(name).aliases
        for alias, number in self._registry.aliases(name).items():
            target = str(versions[number].version)
            if str(current.get(alias)) != target:
                self._client.set_registered_model_alias(name, alias, target)

    def _missing_parents(self, digest: str) -> list[str]:
        return [parent for parent in self._records.parents(digest) if not self._is_shown(parent)]

    def _outputs(self, digest: str) -> str:
        """Return a digest of what a record gave so far: its view is complete up to these."""
        outputs = {item.output for item in self._records.attestations(digest)}
        return digest_json([*sorted(outputs)])

    def _is_shown(self, digest: str) -> bool:
        if digest not in self._shown:
            run = self._find_run(digest)
            if run is None or run.info.status != "FINISHED":
                return False
            self._shown[digest] = run.data.tags.get(OUTPUTS, "")
        return self._shown[digest] == self._outputs(digest)

    def _show(self, digest: str) -> None:
        """Create a record's run, or finish what a killed process began."""
        attestations = self._records.attestations(digest)
        if not attestations or self._is_shown(digest):
            return  # without an attestation nothing has come out yet
        derivation, outputs = self._records.read(digest), self._outputs(digest)
        view = view_of(digest, derivation, attestations[-1])
        found = self._find_run(digest)
        run = found or self._create_run(view, outputs)
        self._log(run.info.run_id, view, metrics_of(self._store, attestations[-1]))
        self._log_inputs(run.info.run_id, derivation)
        self._log_outputs(run, attestations, search=found is not None)
        if found:  # a view that was cut off, or a derivation that has given another output since
            self._client.set_tag(run.info.run_id, OUTPUTS, outputs)
        self._client.set_terminated(run.info.run_id, end_time=view.finished_ms or None)
        self._shown[digest] = outputs

    def _find_run(self, digest: str) -> "Run | None":
        if digest not in self._found:
            experiment = self._lookup.experiment(self._records.read(digest).kind)
            condition = f"tags.`{RECORD}` = '{digest}'"
            runs = self._client.search_runs([experiment], condition, max_results=1)
            self._found[digest] = runs[0] if runs else None
        return self._found[digest]

    def _create_run(self, view: RunView, outputs: str) -> "Run":
        experiment = self._lookup.experiment(view.experiment)
        started, tags = view.started_ms or None, view.tags | {OUTPUTS: outputs}
        return self._client.create_run(experiment, started, tags, view.name)

    def _log(self, run_id: str, view: RunView, rows: list[MetricRow]) -> None:
        from mlflow.entities import Metric, Param

        params = [Param(key, value) for key, value in sorted(view.params.items())]
        metrics = [Metric(row.name, row.value, view.finished_ms, row.step) for row in rows]
        # one call takes at most 100 params, and 1000 of both together
        for number in range(max(-(-len(params) // 100), -(-len(metrics) // 900))):
            some, others = params[number * 100 :][:100], metrics[number * 900 :][:900]
            self._client.log_batch(run_id, others, some)

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
            find = self._lookup.model if search else self._lookup.new_model
            model = find(attestation.output, record, run.info.run_id)
            if model not in present:  # repeating an output is an IntegrityError in MLflow
                step = step_of(self._records.read(record), attestation)
                self._client.log_outputs(run.info.run_id, [LoggedModelOutput(model, step)])
                present.add(model)

    def _input_model(self, item: Input) -> str | None:
        """Return the logged model behind an input, looking through a release to its checkpoint."""
        checkpoint = checkpoint_behind(self._store, self._records, item.artifact, item.record)
        return self._lookup.model(checkpoint.digest, checkpoint.record) if checkpoint else None

    def _create_version(self, entry: Entry) -> "ModelVersion":
        checkpoint = Artifact(kind="checkpoint", digest=entry.digest, record=entry.record)
        if entry.record:
            checkpoint = (
                checkpoint_behind(self._store, self._records, entry.digest, entry.record)
                or checkpoint
            )
        if checkpoint.record:
            self.record(checkpoint.record)
        model = self._lookup.model(checkpoint.digest, checkpoint.record)
        run = self._find_run(checkpoint.record) if checkpoint.record else None
        tags = {VERSION: str(entry.version), DIGEST: entry.digest, "provost.owner": entry.owner}
        with as_default(self._uri):
            return self._client.create_model_version(
                entry.name,
                source=f"models:/{model}",
                run_id=run.info.run_id if run else None,
                tags=tags | ({RECORD: entry.record} if entry.record else {}),
                description=clip(entry.note, 5000),
                await_creation_for=0,
                model_id=model,
            )


def _dataset(item: Input) -> "DatasetInput":
    """Return an input that is no model as MLflow's dataset, with its whole digest as a tag."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    name = clip(f"{item.role} {item.name}".strip(), 500)
    short = item.artifact.removeprefix("sha256:")[:36]  # all that MLflow's column holds
    dataset = Dataset(name=name, digest=short, source_type="provost", source=item.artifact)
    tags = [InputTag("mlflow.data.context", clip(item.role, 250)), InputTag(DIGEST, item.artifact)]
    return DatasetInput(dataset, tags)
