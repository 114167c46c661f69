"""Registry names as MLflow's registered models: versions, statuses and aliases."""

import json
from typing import TYPE_CHECKING

from pydantic import JsonValue

from lineage.artifacts import Artifact
from lineage.errors import LineageError
from lineage.graph.graph import checkpoint_behind
from lineage.mirror.cards import DATA, TEACHER, Card, Cards, fetching, mark_external
from lineage.mirror.connection import as_default
from lineage.mirror.run_view import DIGEST, FIRST, NOTE, STATUS, VERSION, namespace_of
from lineage.mirror.runs import RunMirror
from lineage.mirror.story import model_of, version_page
from lineage.records.record import Records
from lineage.registry.registry import Entry, Registry
from lineage.store.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


REGISTERED = "mlflow.modelVersions"
"""Tag of a logged model: its registered versions, for its page."""


class NameMirror:
    """The registry of one store in one MLflow. The caller holds ``only_writer``."""

    def __init__(
        self,
        client: "MlflowClient",
        uri: str,
        store: Store,
        runs: RunMirror,
        *,
        trusting: bool = True,
    ) -> None:
        """Show names of ``store``; ``runs`` shows the records that made what they name.

        ``trusting`` takes a version for what its tags say; without it all of a version is compared.
        """
        self._trusting = trusting
        self.repaired: list[str] = []
        self._client = client
        self._uri = uri
        self._store = store
        self._records = Records(store)
        self._registry = Registry(store)
        self._runs = runs
        self._namespace = namespace_of(store.uri)
        self._cards = Cards(store, runs.address, self.address)

    def show(self, name: str) -> None:
        """Show every version of a registry name, and the aliases of those that are active.

        Raises LineageError where MLflow's name belongs to another store.
        """
        entries = self._registry.versions(name)
        if not entries:
            return
        model = self._model(entries[0])
        known, shown = self._known_versions(model), {}
        if not self._trusting and self._are_wrong(known, entries):
            self.repaired.append(f"{model}: its versions differ")
            self._client.delete_registered_model(model)
            self._model(entries[0])
            known = {}
        for entry in entries:
            version = known.get((str(entry.version), entry.digest))
            version = version or self._create_version(model, entry)
            status = self._registry.status(name, entry.version)
            if version.tags.get(STATUS) != status or not self._trusting:
                self._describe(version, entry)
            if status == "active":
                shown[entry.version] = str(version.version)
        self._show_aliases(model, self._registry.aliases(name), shown)

    def address(self, reference: str) -> str:
        """Return where MLflow's pages show a version such as ``teacher.math@3``; "" if nowhere."""
        name, _, number = reference.rpartition("@")
        if name not in self._registry.names():
            return ""
        model = model_of(name, self._namespace)
        for _ in range(2):
            for version in self._client.search_model_versions(f"name='{model}'"):
                if version.tags.get(VERSION) == number:
                    return version_page(model, str(version.version))
            self.show(name)  # a teacher that is not there yet
        return ""

    def _are_wrong(
        self, known: "dict[tuple[str, str], ModelVersion]", entries: list[Entry]
    ) -> bool:
        """Return whether MLflow has versions without a registry entry, or shows other weights.

        Versions that are missing are not wrong.
        """
        by_key = {(str(entry.version), entry.digest): entry for entry in entries}
        for key, version in known.items():
            if key not in by_key or str(version.version) != key[0]:
                return True
            weights, run_id = self._weights(by_key[key])
            if (version.source, version.run_id or None) != (f"models:/{weights}", run_id):
                return True
        return False

    def _describe(self, version: "ModelVersion", entry: Entry) -> None:
        """Bring the description and the tags of a version up to date."""
        number, card = str(version.version), self._cards.card(entry)
        if version.description != card.text:
            self._client.update_model_version(version.name, number, card.text)
            self._tell_weights(self._weights(entry)[0], version, card)
        for key, value in card.tags.items():
            if version.tags.get(key) != value:
                self._client.set_model_version_tag(version.name, number, key, value)

    def _model(self, first: Entry) -> str:
        """Return the registered model of a name, created if MLflow has none."""
        model = model_of(first.name, self._namespace)
        mark = f"{first.digest} {first.created}"
        found = self._client.search_registered_models(filter_string=f"name='{model}'")
        if not found:
            self._client.create_registered_model(model, tags={FIRST: mark})
        elif (other := found[0].tags.get(FIRST)) and other != mark:
            raise LineageError(
                f"MLflow's {model!r} shows the versions of another store (its first is {other}, "
                f"here it is {mark}): give this store its own MLflow, or delete the registered "
                "model there and run `provost lineage reindex`"
            )
        elif not other:
            self._client.set_registered_model_tag(model, FIRST, mark)
        return model

    def _known_versions(self, model: str) -> "dict[tuple[str, str], ModelVersion]":
        """Return MLflow's versions by the number and digest of the entry that each shows.

        Of two that show one entry the older stays: two machines may have created at one moment.
        """
        found: list[ModelVersion] = []
        token = None
        while token is None or token:
            page = self._client.search_model_versions(f"name='{model}'", page_token=token)
            found += page
            token = page.token or ""
        known: dict[tuple[str, str], ModelVersion] = {}
        for version in sorted(found, key=lambda item: int(item.version)):
            key = (version.tags.get(VERSION, ""), version.tags.get(DIGEST, ""))
            if key in known and all(key):
                self._client.delete_model_version(model, str(version.version))
            known.setdefault(key, version)
        return known

    def _show_aliases(self, model: str, aliases: dict[str, int], shown: dict[int, str]) -> None:
        """Make MLflow's aliases those of the registry that lead to an active version."""
        current = self._client.get_registered_model(model).aliases
        wanted = {alias: shown[version] for alias, version in aliases.items() if version in shown}
        for alias in current.keys() - wanted.keys():
            self._client.delete_registered_model_alias(model, alias)
        for alias, version in wanted.items():
            if str(current.get(alias)) != version:
                self._client.set_registered_model_alias(model, alias, version)

    def _create_version(self, model: str, entry: Entry) -> "ModelVersion":
        weights, run_id = self._weights(entry)
        card = self._cards.card(entry)
        mark_external(self._client, weights, fetching(entry))
        with as_default(self._uri):
            version = self._client.create_model_version(
                model,
                source=f"models:/{weights}",
                run_id=run_id,
                tags=card.tags,
                description=card.text,
                await_creation_for=0,
                model_id=weights,
            )
        self._tell_weights(weights, version, card)
        return version

    def _tell_weights(self, weights: str, version: "ModelVersion", card: Card) -> None:
        """Let the page of a checkpoint say as what it is registered, and what it is made of."""
        known = self._client.get_logged_model(weights).tags.get(REGISTERED, "[]")
        this = {"name": version.name, "version": str(version.version)}
        others = [item for item in _versions_in(known) if item != this]
        made_of = {key: text for key, text in card.tags.items() if key.startswith((DATA, TEACHER))}
        tags = made_of | {NOTE: card.text, REGISTERED: json.dumps([*others, this])}
        self._client.set_logged_model_tags(weights, tags)

    def _weights(self, entry: Entry) -> tuple[str, str | None]:
        """Return the logged model behind an entry, and its run, both shown by now."""
        checkpoint = Artifact(kind="checkpoint", digest=entry.digest, record=entry.record)
        if entry.record:
            checkpoint = (
                checkpoint_behind(self._store, self._records, entry.digest, entry.record)
                or checkpoint
            )
        for record in dict.fromkeys([checkpoint.record, entry.record]):
            if record:
                self._runs.show(record)
        weights = self._runs.lookup.model(checkpoint.digest, checkpoint.record)
        run = self._runs.find(checkpoint.record) if checkpoint.record else None
        return weights, run.info.run_id if run else None


def _versions_in(text: str) -> list[JsonValue]:
    """Return what a tag lists, nothing where somebody wrote something else into it."""
    try:
        found = json.loads(text)
    except ValueError:
        return []
    return found if isinstance(found, list) else []
