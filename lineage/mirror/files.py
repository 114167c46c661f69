"""Files in MLflow: reports beside their runs, and pointers to weights that are elsewhere."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lineage.errors import CorruptError
from lineage.store.store import Store, read_tree

if TYPE_CHECKING:
    from mlflow import MlflowClient

REPORTS = {"report", "gate", "audit"}
"""Kinds of output that people look at."""
EXTERNAL = "mlflow.model.isExternal"
_SHOWN = {".html", ".png", ".svg", ".json"}
_MOST_BYTES = 20_000_000
"""Largest size of one file in bytes; a larger file is not a page."""


def show_files(client: "MlflowClient", store: Store, digest: str, run_ids: list[str]) -> None:
    """Put the pages and pictures of a stored folder among the artifacts of runs."""
    try:
        files = read_tree(store, digest).files
    except CorruptError:
        return  # one document, which its run names by digest
    shown = [
        file
        for file in files
        if Path(file.path).suffix in _SHOWN and "/" not in file.path and file.size <= _MOST_BYTES
    ]
    folder = store.tree(digest) if shown else Path()
    for file in shown:
        for run_id in run_ids:
            client.log_artifact(run_id, str(folder / file.path))


def mark_external(client: "MlflowClient", model_id: str, text: str) -> None:
    """Say where MLflow's loaders look that the weights of a model are kept elsewhere.

    ``text`` tells how they are fetched. Without it a loader fails on a file that is missing.
    """
    from mlflow.models.utils import get_external_mlflow_model_spec

    model = client.get_logged_model(model_id)
    with tempfile.TemporaryDirectory(prefix="provost-") as folder:
        get_external_mlflow_model_spec(model).save(Path(folder, "MLmodel"))
        Path(folder, "README.md").write_text(text + "\n", encoding="utf-8")
        client.log_model_artifacts(model_id, folder)
