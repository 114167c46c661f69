"""Shows records and names in MLflow, and rebuilds it: what steps and commands call."""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from lineage.mirror.connection import client_of
from lineage.mirror.names import Names
from lineage.mirror.runs import Runs
from lineage.record import Records
from lineage.registry import Registry
from lineage.store import Store, open_store
from lineage.tracking import Health, calm, only_writer, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

HEALTH = Health()
"""Of the MLflow that this process mirrors to."""


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
        mirror = Mirror(client_of(place), place, store)
        for digest in records:
            with only_writer(place):
                mirror.record(digest)
        for name in names:
            with only_writer(place):
                mirror.name(name)
    versions = sum(len(Registry(store).versions(name)) for name in names)
    return Reindexed(len(records), len(names), versions)


def _guarded(store: Store, show: "Callable[[Mirror], None]") -> bool:
    """Mirror one thing; note and tell a failure, but never let it reach a training run."""
    uri = tracking_uri()
    if HEALTH.paused():
        return False
    try:
        with calm():
            mirror = mirror_of(client_of(uri), uri, store.uri)
            with only_writer(uri):
                show(mirror)
    except Exception as error:  # noqa: BLE001 - MLflow, its database and HTTP raise all kinds
        HEALTH.failed(uri, error)
        return False
    return True


@lru_cache(maxsize=4)
def mirror_of(client: "MlflowClient", uri: str, store_uri: str) -> "Mirror":
    """Return the mirror of a store: it remembers what this process has shown already."""
    return Mirror(client, uri, open_store(store_uri))


class Mirror:
    """The view of one store in one MLflow. The caller holds ``only_writer``."""

    def __init__(self, client: "MlflowClient", uri: str, store: Store) -> None:
        """Show ``store`` in the MLflow of ``client``, at ``uri``."""
        self._runs = Runs(client, uri, store)
        self._names = Names(client, uri, store, self._runs)

    def record(self, digest: str) -> None:
        """Show a record after the records that it descends from."""
        self._runs.show(digest)

    def name(self, name: str) -> None:
        """Show every version and alias of a registry name."""
        self._names.show(name)
