"""Find experiments, runs and logged models in MLflow by digest, and create those it lacks."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, Protocol

from lineage.mirror.connection import artifact_location
from lineage.mirror.run_view import (
    DIGEST,
    NOTE,
    ORIGIN,
    RECORD,
    WORDS,
    area_of,
    params_of,
    plan_of,
    run_name,
    step_of,
    view_of,
)
from lineage.records.record import Records

EXTERNAL = "mlflow.model.isExternal"
RAW = "raw"
"""The experiment that shows checkpoints which no record made."""
TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""Makes MLflow's pages open an experiment with its runs, not with traces."""


def _tags_of(area: str) -> dict[str, str]:
    return TRAINING | ({NOTE: WORDS[area]} if area in WORDS else {})


class LoggedMetric(Protocol):
    """The part of a logged model's metric that is used here."""

    @property
    def key(self) -> str:
        """Its name."""

    @property
    def value(self) -> float:
        """Its value."""


class LoggedModel(Protocol):
    """The part of MLflow's logged model that is used here."""

    @property
    def model_id(self) -> str:
        """MLflow's own id."""

    @property
    def status(self) -> object:
        """PENDING, READY or FAILED."""

    @property
    def params(self) -> Mapping[str, str] | None:
        """The settings that made it."""

    @property
    def source_run_id(self) -> str | None:
        """The run that gave it."""

    @property
    def metrics(self) -> Sequence["LoggedMetric"] | None:
        """What evaluations measured of it."""


class Experiment(Protocol):
    """The part of MLflow's experiment that is used here."""

    @property
    def experiment_id(self) -> str:
        """MLflow's own id."""

    @property
    def lifecycle_stage(self) -> str:
        """Say "active" or "deleted"."""


class Client(Protocol):
    """The part of MLflow's client that is used here; only ``lineage.mirror`` imports MLflow."""

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """See MlflowClient."""

    def create_experiment(
        self, name: str, artifact_location: str | None, tags: dict[str, str]
    ) -> str:
        """See MlflowClient."""

    def restore_experiment(self, experiment_id: str) -> None:
        """See MlflowClient."""

    def search_logged_models(
        self, experiment_ids: list[str], filter_string: str, datasets: None, max_results: int
    ) -> Sequence[LoggedModel]:
        """See MlflowClient."""

    def create_logged_model(
        self,
        experiment_id: str,
        name: str,
        source_run_id: str | None,
        tags: dict[str, str],
        params: dict[str, str] | None,
        model_type: str,
    ) -> LoggedModel:
        """See MlflowClient."""

    def delete_logged_model(self, model_id: str) -> None:
        """See MlflowClient."""

    def finalize_logged_model(self, model_id: str, status: Literal["READY"]) -> LoggedModel:
        """See MlflowClient."""


class Lookup:
    """The entities of one store's records in one MLflow. The caller holds ``only_writer``."""

    def __init__(self, client: Client, uri: str, records: Records, namespace: str) -> None:
        """Look in the MLflow of ``client``, at ``uri``, among experiments of ``namespace``."""
        self._client = client
        self._uri = uri
        self._records = records
        self._namespace = namespace
        self._experiments: dict[str, str] = {}
        self._models: dict[tuple[str, str], str] = {}
        self._areas: dict[str, str] = {}

    def area(self, record: str) -> str:
        """Return the area of a record.

        Its first attestation decides, so that its run stays where it is.
        """
        if record not in self._areas:
            made, attested = self._records.read(record), self._records.attestations(record)
            if not attested:
                return area_of(made.kind, plan_of(made, {}))
            self._areas[record] = area_of(made.kind, plan_of(made, attested[0].notes))
        return self._areas[record]

    def model(self, digest: str, record: str, run_id: str | None = None) -> str:
        """Return the logged model of a checkpoint, created if MLflow has none."""
        key = (digest, record)
        if key not in self._models:
            found = self._search(digest, record, 1)
            if not found:
                return self.new_model(digest, record, run_id)
            if str(found[0].status) != "READY":
                self._client.finalize_logged_model(found[0].model_id, "READY")
            self._models[key] = found[0].model_id
        return self._models[key]

    def new_model(self, digest: str, record: str, run_id: str | None = None) -> str:
        """Return a logged model that MLflow is known not to have, created unless it was just now.

        Saves a search where the record's run is new too.
        """
        key = (digest, record)
        if key not in self._models:
            model = self._create_model(self._experiment_of(record), key, run_id)
            self._client.finalize_logged_model(model.model_id, "READY")
            self._models[key] = model.model_id
        return self._models[key]

    def known(
        self, digest: str, record: str, run_id: str, scores: Collection[tuple[str, float]]
    ) -> str:
        """Return the logged model that a run gave, "" if MLflow has none that can be believed.

        All others that claim to be it are deleted: those of another run or with other settings,
        and those with other ``scores`` than records attest.
        """
        kept, params = "", params_of(self._records.read(record))
        self._models.pop((digest, record), None)
        for model in self._search(digest, record, 100):
            shown = {(score.key, score.value) for score in model.metrics or ()}
            is_its = model.source_run_id == run_id and {**(model.params or {})} == params
            if not kept and is_its and shown <= {*scores}:
                kept = model.model_id
            else:
                self._client.delete_logged_model(model.model_id)
        if kept:
            self._models[digest, record] = kept
        return kept

    def _search(self, digest: str, record: str, most: int) -> Sequence[LoggedModel]:
        condition = f"tags.`{DIGEST}` = '{digest}' AND tags.`{RECORD}` = '{record or RAW}'"
        experiment = self._experiment_of(record)
        return self._client.search_logged_models([experiment], condition, None, most)

    def _experiment_of(self, record: str) -> str:
        return self.experiment(self.area(record) if record else RAW)

    def _create_model(
        self, experiment: str, key: tuple[str, str], run_id: str | None
    ) -> LoggedModel:
        digest, record = key
        name, step = f"{RAW}-{digest.removeprefix('sha256:')[:12]}", 0
        tags, params = {}, None
        if record:
            derivation, latest = self._records.read(record), self._records.attestations(record)[-1]
            name = run_name(derivation, latest.model_copy(update={"output": digest}))
            step, params = step_of(derivation, latest), params_of(derivation)
            view = view_of(record, derivation, latest)
            tags = {key: text for key, text in view.tags.items() if key in ORIGIN}
        tags |= {
            DIGEST: digest,
            RECORD: record or RAW,
            "provost.step": str(step),
            EXTERNAL: "true",  # the weights are in the store
        }
        kind = "checkpoint"
        return self._client.create_logged_model(experiment, name, run_id, tags, params, kind)

    def experiment(self, area: str) -> str:
        """Return the id of the experiment of an area; one that was deleted comes back."""
        if area not in self._experiments:
            name = self._name(area)
            found = self._client.get_experiment_by_name(name)
            if found is None:
                place = artifact_location(self._uri, name)
                self._experiments[area] = self._client.create_experiment(
                    name, place, _tags_of(area)
                )
            else:
                if found.lifecycle_stage == "deleted":  # its name is taken, and it takes no runs
                    self._client.restore_experiment(found.experiment_id)
                self._experiments[area] = found.experiment_id
        return self._experiments[area]

    def existing(self, areas: Iterable[str]) -> list[str]:
        """Return the ids of those experiments that are there, and not deleted."""
        found = [self._client.get_experiment_by_name(self._name(area)) for area in areas]
        return [item.experiment_id for item in found if item and item.lifecycle_stage == "active"]

    def _name(self, area: str) -> str:
        return f"{self._namespace}/{area}" if self._namespace else area

    def forget(self) -> None:
        """Forget what was found; others may have changed it."""
        self._experiments.clear()
        self._models.clear()

    def forget_experiments(self) -> None:
        """Forget the experiments that were found; one may have been deleted."""
        self._experiments.clear()
