"""The client of an MLflow: made late, since MLflow takes seconds to import, and once a process."""

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

from lineage.mirror.tables import make_tables_of
from lineage.tracking import make_tables, only_writer, quiet

if TYPE_CHECKING:
    from mlflow import MlflowClient


@lru_cache(maxsize=4)
def client_of(uri: str) -> "MlflowClient":
    """Return the client of a server or database, its tables made on first use."""
    quiet()
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    with only_writer(uri):  # two processes that create the tables at once would both fail
        make_tables(uri, make_tables_of)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client
