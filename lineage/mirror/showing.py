"""Shows records and names in MLflow, and rebuilds it: what steps and commands call."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

from pydantic import JsonValue

from lineage.errors import LineageError
from lineage.mirror.connection import (
    TrackingState,
    client_of,
    only_writer,
    reach,
    tracking_uri,
    without_deprecation_warnings,
)
from lineage.mirror.live import LiveMirror, Step
from lineage.mirror.names import NameMirror
from lineage.mirror.runs import RunMirror
from lineage.records.record import Derivation, Records
from lineage.registry.registry import Registry
from lineage.store.store import Store, open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

HEALTH = TrackingState()
"""State of the MLflow server that this process mirrors to."""
_CHANGED = {"RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
_LOG = logging.getLogger("provost.lineage")


class Reindexed(NamedTuple):
    """How much of the store ``reindex`` has shown in MLflow."""

    records: int
    names: int
    versions: int
    repaired: tuple[str, ...] = ()
    """Items that differed from the store and were corrected."""
    problems: tuple[str, ...] = ()
    """Items that could not be shown, with the reason: damage, or a name of another store."""


def mirror_record(store: Store, digest: str) -> bool:
    """Show a record, and what it descends from, in MLflow; return whether MLflow has it now.

    A fault of MLflow never raises: training goes on, one warning is printed, and a later call or
    ``reindex`` catches up.
    """
    return _guarded(store, digest, lambda mirror: mirror.record(digest))


def mirror_entry(store: Store, name: str) -> bool:
    """Show a registry name in MLflow, all versions and aliases; see ``mirror_record``."""
    return _guarded(store, name, lambda mirror: mirror.name(name))


def reindex(store: Store, uri: str | None = None) -> Reindexed:
    """Rebuild the whole view from the store, in an empty MLflow or over what is there.

    What is there is compared with the store and made anew where it differs, settings, metrics,
    inputs, outputs and versions: everybody who can write into MLflow can write anything. One
    damaged record or name hides no other. Raises what MLflow raises: who asks for a rebuild
    wants to know.
    """
    place = uri or tracking_uri()
    records, names = Records(store).all(), Registry(store).names()
    problems: list[str] = []
    versions = 0
    with without_deprecation_warnings():
        reach(place)
        mirror = StoreMirror(client_of(place), place, store, trusting=False)
        for digest in records:
            with only_writer(place), _collected(problems, digest):
                _settled(mirror, partial(StoreMirror.record, digest=digest))
        for name in names:
            with only_writer(place), _collected(problems, name):
                _settled(mirror, partial(StoreMirror.name, name=name))
                versions += len(Registry(store).versions(name))
        with only_writer(place):
            _settled(mirror, StoreMirror.end_silent)
    return Reindexed(len(records), len(names), versions, mirror.repaired, tuple(problems))


@contextmanager
def _collected(problems: list[str], what: str) -> Iterator[None]:
    try:
        yield
    except LineageError as error:
        problems.append(f"{what}: {error}")


def live_run(
    store: Store,
    derivation: Derivation,
    owner: str,
    interruption: type[BaseException],
    notes: Mapping[str, JsonValue] | None = None,
) -> LiveMirror:
    """Return a mirror that shows a running step in MLflow from its own thread."""
    digest = derivation.digest()

    def show(step: Step) -> bool:
        return _guarded(store, digest, lambda mirror: mirror.live(step), is_waited_for=False)

    return LiveMirror(show, derivation, owner, notes=notes, interruption=interruption)


def _guarded(
    store: Store,
    what: str,
    show: "Callable[[StoreMirror], None]",
    *,
    is_waited_for: bool = True,
) -> bool:
    """Mirror one thing; note and tell a failure, but never let it reach a training run.

    What is waited for is not tried for a while after a failure. A thread of its own may always try,
    so that curves are back soon after the server is.
    """
    uri = tracking_uri()
    if is_waited_for and HEALTH.paused():
        return False
    try:
        with without_deprecation_warnings():
            reach(uri)
            mirror = mirror_of(client_of(uri), uri, store.uri)
            with only_writer(uri):
                _settled(mirror, show)
    except LineageError as error:  # the store's, not MLflow's: other records can be shown
        _LOG.warning("MLflow does not show %s: %s", what, error)
        return False
    except Exception as error:  # noqa: BLE001 - MLflow, its database and HTTP raise all kinds
        HEALTH.failed(uri, error)
        return False
    HEALTH.answered()
    return True


def _settled(mirror: "StoreMirror", show: "Callable[[StoreMirror], None]") -> None:
    """Show; once more where MLflow answers that others changed meanwhile what was found in it.

    The lock holds on one machine. Pods, and people in MLflow's pages, create and delete too.
    """
    try:
        show(mirror)
    except Exception as error:
        if getattr(error, "error_code", "") not in _CHANGED:
            raise
        mirror.forget()
        show(mirror)


@lru_cache(maxsize=4)
def mirror_of(client: "MlflowClient", uri: str, store_uri: str) -> "StoreMirror":
    """Return the mirror of a store: it remembers what this process has shown already."""
    return StoreMirror(client, uri, open_store(store_uri))


class StoreMirror:
    """The view of one store in one MLflow. The caller holds ``only_writer``."""

    def __init__(
        self, client: "MlflowClient", uri: str, store: Store, *, trusting: bool = True
    ) -> None:
        """Show ``store`` in the MLflow of ``client``, at ``uri``; see ``RunMirror``."""
        self._runs = RunMirror(client, uri, store, trusting=trusting)
        self._names = NameMirror(client, uri, store, self._runs, trusting=trusting)

    @property
    def repaired(self) -> tuple[str, ...]:
        """Items that were wrong in MLflow and were corrected."""
        return (*self._runs.repaired, *self._names.repaired)

    def record(self, digest: str) -> None:
        """Show a record after the records that it descends from."""
        self._runs.show(digest)

    def end_silent(self) -> None:
        """End the runs of steps after their process was killed."""
        self._runs.end_silent()

    def live(self, step: Step) -> None:
        """Show a step that has no output yet."""
        self._runs.show_live(step)

    def name(self, name: str) -> None:
        """Show every version and alias of a registry name."""
        self._names.show(name)

    def forget(self) -> None:
        """Forget what was found; others may have changed it."""
        self._runs.forget()
