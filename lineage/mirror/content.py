"""The content of a record's run: values, inputs and outputs, as MLflow's entities."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lineage.errors import LineageError
from lineage.graph.graph import checkpoint_behind
from lineage.mirror.lookup import Lookup
from lineage.mirror.run_view import (
    DIGEST,
    RunView,
    clip,
    metrics_of,
    model_name,
    run_name,
    split_finite,
    step_of,
    view_of,
)
from lineage.records.record import Attestation, Derivation, Input, Records
from lineage.store.store import Store

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric


@dataclass(frozen=True)
class Content:
    """Everything that a run shows of its record, except the descriptions with links."""

    derivation: Derivation
    attestations: list[Attestation]
    view: RunView
    metrics: "list[Metric]"
    not_finite: str
    """Sentence about omitted values; "" if every value is finite."""
    models: tuple[str, ...]
    """The logged models among its inputs."""
    datasets: tuple[Input, ...]
    """The other inputs."""

    @property
    def outputs(self) -> list[tuple[str, int]]:
        """The digest and the optimizer step of each checkpoint that came out."""
        return [
            (item.output, step_of(self.derivation, item))
            for item in self.attestations
            if item.output_kind == "checkpoint"
        ]


class Contents:
    """Reads the content of records from a store."""

    def __init__(self, store: Store, records: Records, lookup: Lookup) -> None:
        """Read from ``store``; ``lookup`` finds or creates the logged models of inputs."""
        self._store, self._records, self._lookup = store, records, lookup

    def of(self, digest: str) -> Content:
        """Return the content of a record that has an attestation."""
        derivation = self._records.read(digest)
        attestations = self._records.attestations(digest)
        models, datasets = self.inputs(derivation)
        view = view_of(digest, derivation, attestations[-1])
        view = replace(view, name=self._name(derivation) or view.name)
        metrics, not_finite = self._metrics(derivation, attestations[-1], view, models)
        return Content(
            derivation=derivation,
            attestations=attestations,
            view=view,
            metrics=metrics,
            not_finite=not_finite,
            models=models,
            datasets=datasets,
        )

    def inputs(self, derivation: Derivation) -> tuple[tuple[str, ...], tuple[Input, ...]]:
        """Return the inputs that are logged models, and those that are not."""
        models: dict[str, None] = {}
        datasets = []
        for item in derivation.inputs:
            checkpoint = checkpoint_behind(self._store, self._records, item.artifact, item.record)
            if checkpoint:
                models[self._lookup.model(checkpoint.digest, checkpoint.record)] = None
            else:
                datasets.append(item)
        return tuple(models), tuple(datasets)

    def _name(self, derivation: Derivation) -> str:
        """Return the name of a measurement, which ends with that of the checkpoint's run.

        "" for other values.
        """
        measured = [item for item in derivation.inputs if item.role == "checkpoint" and item.record]
        if derivation.kind != "evaluation" or len(measured) != 1:
            return ""
        made = self._records.attestations(measured[0].record)
        if not made:
            return ""
        of = run_name(self._records.read(measured[0].record), made[-1])
        parts = ["evaluation", str(derivation.settings.get("domain") or ""), "of", of]
        return model_name("-".join(part for part in parts if part))

    def _metrics(
        self, derivation: Derivation, attested: Attestation, view: RunView, models: tuple[str, ...]
    ) -> "tuple[list[Metric], str]":
        from mlflow.entities import Metric

        finite, not_finite = split_finite(metrics_of(self._store, attested))
        about = _measured(derivation, models)
        metrics = [
            Metric(row.name, row.value, row.at or view.finished_ms, row.step, **about)
            for row in finite
        ]
        return metrics, not_finite


def scores_of(store: Store, records: Records) -> dict[str, set[tuple[str, float]]]:
    """Return the scores that evaluations attest, by the digest of the checkpoint.

    A damaged record attests nothing here; the page of the record reports the damage.
    """
    found: dict[str, set[tuple[str, float]]] = defaultdict(set)
    for digest in records.all():
        with suppress(LineageError):
            for checkpoint, name, value in _scores(store, records, digest):
                found[checkpoint].add((name, value))
    return found


def _scores(store: Store, records: Records, digest: str) -> Iterator[tuple[str, str, float]]:
    """Yield checkpoint, name and value of what a record measured, if it is an evaluation."""
    derivation = records.read(digest)
    if derivation.kind != "evaluation":
        return
    for item in derivation.inputs:
        checkpoint = checkpoint_behind(store, records, item.artifact, item.record)
        if checkpoint is None:
            continue
        for attestation in records.attestations(digest):
            for row in metrics_of(store, attestation):
                yield checkpoint.digest, row.name, row.value


def _measured(derivation: Derivation, models: tuple[str, ...]) -> dict[str, str]:
    """Return which checkpoint an evaluation's metrics are of, and on which data."""
    prompts = [dataset_of(item) for item in derivation.inputs if item.role == "prompts"]
    if derivation.kind != "evaluation" or len(models) != 1 or len(prompts) != 1:
        return {}
    name, digest = prompts[0]
    return {"model_id": models[0], "dataset_name": name, "dataset_digest": digest}


def dataset_of(item: Input) -> tuple[str, str]:
    """Return the name and the digest under which MLflow lists an input other than a model."""
    name = clip(f"{item.role} {item.name}".strip(), 500)
    return name, item.artifact.removeprefix("sha256:")[:36]  # all that MLflow's column holds


def dataset_input(item: Input) -> "DatasetInput":
    """Return an input other than a model as an MLflow dataset, tagged with its full digest."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    name, digest = dataset_of(item)
    dataset = Dataset(name=name, digest=digest, source_type="provost", source=item.artifact)
    tags = [InputTag("mlflow.data.context", clip(item.role, 250)), InputTag(DIGEST, item.artifact)]
    return DatasetInput(dataset, tags)
