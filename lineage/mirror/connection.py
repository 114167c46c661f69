"""The client of an MLflow: made late, since MLflow takes seconds to import, and once a process."""

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

from lineage.mirror.tables import make_tables_of
from lineage.mirror.tracking import make_tables, only_writer, quiet

if TYPE_CHECKING:
    from mlflow import MlflowClient


ANSWER_SECONDS = 4.0


def reach(uri: str) -> None:
    """Raise MLflow's error if a server does not answer within seconds, asked twice.

    MLflow's own calls wait longer and try again, which suits a slow server but wastes minutes on a
    dead one. A database is not checked.
    """
    if not uri.startswith("http"):
        return
    quiet()
    from mlflow import MlflowException

    try:
        _ask(uri)
    except MlflowException:  # the server may have closed the connection that was kept from before
        _ask(uri)


def _ask(uri: str) -> None:
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    http_request(  # type: ignore[no-untyped-call]
        get_default_host_creds(uri),  # type: ignore[no-untyped-call]
        "/health",
        "GET",
        max_retries=0,
        timeout=ANSWER_SECONDS,
        raise_on_status=False,
    ).close()


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
