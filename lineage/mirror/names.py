"""Registry names as MLflow's registered models: versions, statuses and aliases."""

from typing import TYPE_CHECKING

from lineage.artifacts import Artifact
from lineage.checkpoint import checkpoint_behind
from lineage.mirror.runs import Runs
from lineage.record import Records
from lineage.registry import Entry, Registry
from lineage.store import Store
from lineage.tracking import as_default
from lineage.view import DIGEST, RECORD, VERSION, clip

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


class Names:
    """The registry of one store in one MLflow. The caller holds ``only_writer``."""

    def __init__(self, client: "MlflowClient", uri: str, store: Store, runs: Runs) -> None:
        """Show names of ``store``; ``runs`` shows the records that made what they name."""
        self._client = client
        self._uri = uri
        self._store = store
        self._records = Records(store)
        self._registry = Registry(store)
        self._runs = runs

    def show(self, name: str) -> None:
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

    def _create_version(self, entry: Entry) -> "ModelVersion":
        checkpoint = Artifact(kind="checkpoint", digest=entry.digest, record=entry.record)
        if entry.record:
            checkpoint = (
                checkpoint_behind(self._store, self._records, entry.digest, entry.record)
                or checkpoint
            )
        if checkpoint.record:
            self._runs.show(checkpoint.record)
        model = self._runs.lookup.model(checkpoint.digest, checkpoint.record)
        run = self._runs.find(checkpoint.record) if checkpoint.record else None
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
