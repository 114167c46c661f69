"""Withdraw a version after the fact, and find the models and people that this affects."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from lineage.artifacts import Artifact
from lineage.compatibility.collect import family_artifacts
from lineage.errors import LineageError, RecalledError, UnreachableError
from lineage.graph.graph import Lineage, checkpoint_behind
from lineage.graph.index import Row
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.registry.slots import Entry
from lineage.registry.valid_recalls import Used, recalls_of
from lineage.store.store import Store

_MODELS = {"checkpoint", "student", "release"}


@dataclass(frozen=True)
class Affected:
    """A record that descends from a recalled version."""

    record: str
    output: str
    """ "" where no statement of what the record gave can be read."""
    output_kind: str
    owner: str
    """Owner to notify: of the registry entry, else of the record."""
    names: tuple[str, ...]
    """Registry versions of it, such as ``student.general@4``; empty where it has none."""


@dataclass(frozen=True)
class Pointing:
    """An alias that points at a recalled version or at a descendant of one."""

    name: str
    alias: str
    version: int
    back_to: int | None
    """Earlier version that the alias can point at again; None without one."""

    @property
    def rollback(self) -> str:
        """Return the version to roll back to, such as ``student.general@3``, or ""."""
        return "" if self.back_to is None else f"{self.name}@{self.back_to}"


@dataclass(frozen=True)
class Recall:
    """A recall with the descendants and aliases that it affects."""

    entry: Entry
    affected: tuple[Affected, ...]
    pointing: tuple[Pointing, ...] = ()
    left_out: tuple[str, ...] = ()
    """Parts of the store that could not be read; descendants may be missing because of them."""

    @property
    def owners(self) -> tuple[str, ...]:
        """Return the owners to notify, sorted."""
        return tuple(sorted({item.owner for item in self.affected if item.owner}))


def recall(store: Store, lineage: Lineage, reference: str, by: str, reason: str) -> Recall:
    """Recall the version that ``reference`` names; return what descends from it.

    From now on ``resolve`` refuses it and the record check refuses what descends from it. Doing it
    again changes nothing and lists anew.
    """
    found = consequences(store, lineage, reference)
    Registry(store).recall(found.entry.name, found.entry.version, by=by, reason=reason)
    return found


def consequences(store: Store, lineage: Lineage, reference: str) -> Recall:
    """Return what a recall of the version would affect, without recalling it."""
    registry = Registry(store)
    entry = registry.resolve(reference, allow_recalled=True)
    versions, unread = _versions_by_name(registry)
    affected = _affected(store, lineage, entry, _by_digest(versions))
    told = [f"{item.key}: {item.why}" for item in lineage.index.left_out]
    concerned = {f"{entry.name}@{entry.version}", *(n for item in affected for n in item.names)}
    pointing = tuple(_pointing(registry, versions, concerned, unread))
    return Recall(entry, affected, pointing, (*told, *unread))


def _pointing(
    registry: Registry,
    versions: Mapping[str, Sequence[Entry]],
    concerned: set[str],
    unread: list[str],
) -> Iterator[Pointing]:
    """Yield the aliases that lead to ``concerned`` versions; add to ``unread`` what cannot be."""
    for name in sorted({version.rpartition("@")[0] for version in concerned}):
        try:
            moves = registry.moves(name)
            withdrawn = {event.version for event in registry.events(name)}
        except UnreachableError:
            raise
        except LineageError as error:
            unread.append(f"aliases of {name}: {error}")
            continue
        usable = {
            entry.version
            for entry in versions.get(name, ())
            if f"{name}@{entry.version}" not in concerned and entry.version not in withdrawn
        }
        for alias, version in sorted({move.alias: move.version for move in moves}.items()):
            if f"{name}@{version}" in concerned:
                before = [m.version for m in moves if m.alias == alias and m.version in usable]
                yield Pointing(name, alias, version, before[-1] if before else None)


def refuse_recalled_family(store: Store, artifacts: Iterable[Artifact]) -> None:
    """Refuse artifacts of which one is recalled by now, or descends from what is recalled.

    Days may lie between a plan and its student, so that whatever publishes asks again.

    Raises:
        RecalledError: naming the version, who recalled it and why.
        LineageError: where the recalls of a name that holds one of them cannot be read.
    """
    lineage, asked = Lineage(store), list(artifacts)
    made_by = [artifact.record for artifact in asked if artifact.record]
    family = {record for start in made_by for record in (start, *lineage.ancestors(start))}
    taken = family_artifacts(Records(store), sorted(family))
    used = taken | {Used(artifact.digest, artifact.record) for artifact in asked}
    for entry, event in recalls_of(Registry(store), used).values():
        raise RecalledError(
            f"this descends from {entry.name}@{entry.version}, which {event.by} recalled on "
            f"{event.at[:10]}: {event.reason}. Make it again from a version that is not recalled"
        )


def _affected(
    store: Store, lineage: Lineage, entry: Entry, entries: Mapping[str, Sequence[Entry]]
) -> tuple[Affected, ...]:
    """Return the models that descend from a registered version, through its release or directly.

    Models that used the checkpoint without its release are found too: the search starts at the
    users of either. A statement that appends another output to a record hides no model, because
    every output that was ever attested is listed, except the recalled bytes themselves.
    """
    index = lineage.index
    checkpoint = (
        checkpoint_behind(store, Records(store), entry.digest, entry.record)
        if entry.record
        else None
    )
    digests = {entry.digest, *([checkpoint.digest] if checkpoint else [])}
    starts = {user for digest in digests for user in index.users(digest)}
    found = index.family_below(sorted(starts))
    gave: dict[str, list[Row]] = {}
    for row in index.outputs(sorted(found)):
        gave.setdefault(row.digest, []).append(row)
    unread = {item.record for item in index.left_out}
    affected = [
        Affected(
            record=row.digest,
            output=row.output,
            output_kind=row.output_kind,
            owner=next((e.owner for e in entries.get(row.output, [])), row.owner),
            names=tuple(f"{e.name}@{e.version}" for e in entries.get(row.output, [])),
        )
        for record, rows in gave.items()
        for row in rows
        if row.output not in digests
        and (row.output_kind in _MODELS or (not row.output and record in unread))
    ]
    # The same bytes may come from several records: a notice lists them once.
    once = {
        item.output or item.record: item for item in sorted(affected, key=lambda item: item.record)
    }
    return tuple(sorted(once.values(), key=lambda item: (not item.names, item.names, item.record)))


def _versions_by_name(registry: Registry) -> tuple[dict[str, list[Entry]], list[str]]:
    """Return what is registered by name, and which names could not be read."""
    found: dict[str, list[Entry]] = {}
    unread = []
    for name in registry.names():
        try:
            found[name] = registry.versions(name)
        except UnreachableError:
            raise
        except LineageError as error:
            unread.append(f"registry/{name}: {error}")
    return found, unread


def _by_digest(versions: Mapping[str, Sequence[Entry]]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in chain.from_iterable(versions.values()):
        found.setdefault(entry.digest, []).append(entry)
    return found
