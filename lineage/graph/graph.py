"""The graph of records: ancestors, descendants, paths, and the models among them.

A node is a record (one derivation), because two records may give the same bytes and a graph of
bytes could turn in circles. An edge goes from the record that made something to the one that used
it, with the role and weight that were stated.
"""

from collections import deque
from collections.abc import Mapping
from functools import reduce
from pathlib import Path

from lineage.artifacts import Artifact, Release, Student, parse_manifest
from lineage.digest import PREFIX, is_digest
from lineage.errors import AmbiguousReferenceError, LineageError, UnknownReferenceError
from lineage.graph.index import Edge, Index, Row
from lineage.graph.nodes import Graph, Node, annotate, in_order, missing
from lineage.records.record import Records
from lineage.registry.registry import Entry, Registry
from lineage.registry.survey import Survey, overview
from lineage.store.store import Store

__all__ = ["Edge", "Graph", "Lineage", "Node"]

_MIN_PREFIX = 6
LARGEST_SCORE = 1e9


class Lineage:
    """Questions about one store's records."""

    def __init__(self, store: Store, index: Path | None = None) -> None:
        """Open the lineage of ``store``, with its index (a cache) at ``index``."""
        self.index = Index(store, index)
        self._store = store
        self._registry = Registry(store)

    def find(self, reference: str) -> str:
        """Return the record that a reference is about.

        A reference is what the registry resolves (recalled versions too), the digest of a record
        or of an artifact, or the first 6 or more hex digits of one. Of several records that gave
        one artifact it is the first; of several projects the author's, else the only one that
        registered it. Raises UnknownReferenceError and AmbiguousReferenceError.
        """
        digest = self._digest(reference)
        damaged = {item.record for item in self.index.left_out}
        if self.index.has(digest) or digest in damaged:
            return digest  # a damaged record too: verify will say what is wrong with it
        makers = self.index.makers(digest)
        if not makers:
            raise UnknownReferenceError(
                f"no record of this store made {digest}: it is a raw input (used by "
                f"{len(self.index.users(digest))} records), or was made in another store",
                code="raw-input",
            )
        return self._maker(digest, makers)

    def _maker(self, digest: str, makers: list[str]) -> str:
        """Return the record that is meant where several gave an artifact.

        Another project may give the same bytes, and say that it did so first.
        """
        records = Records(self._store)
        projects = {maker: records.read(maker).project for maker in makers}
        if len(set(projects.values())) == 1:
            return makers[0]
        own = self._registry.journal.own_project()
        if own in projects.values():
            return next(maker for maker in makers if projects[maker] == own)
        registered = {
            projects[entry.record]: entry.record
            for name in self._registry.names()
            for entry in self._registry.readable(name)
            if entry.digest == digest
            and projects.get(entry.record) == self._registry.project_of(name)
        }
        if len(registered) == 1:
            return registered.popitem()[1]
        raise AmbiguousReferenceError(
            f"{digest} was made in several projects; name one of the records: "
            + ", ".join(f"{maker} of {project}" for maker, project in projects.items())
        )

    def ancestors(self, record: str) -> list[str]:
        """Return the records that ``record`` descends from, nearest first."""
        return self.index.ancestors(record)

    def descendants(self, record: str) -> list[str]:
        """Return the records that descend from ``record``, nearest first."""
        return self.index.descendants(record)

    def path(self, ancestor: str, descendant: str) -> list[str]:
        """Return a shortest chain of records from one to the other, both ends in it; or []."""
        within = [descendant, *self.index.ancestors(descendant)]
        parents: dict[str, list[str]] = {}
        for edge in self.index.edges_into(within):
            parents.setdefault(edge.child, []).append(edge.parent)
        came_from: dict[str, str] = {descendant: ""}
        todo = deque([descendant])
        while todo and ancestor not in came_from:
            current = todo.popleft()
            for parent in parents.get(current, []):
                if parent and parent not in came_from:
                    came_from[parent] = current
                    todo.append(parent)
        chain, current = [], ancestor if ancestor in came_from else ""
        while current:
            chain.append(current)
            current = came_from[current]
        return chain

    def nearest_common_ancestors(self, records: list[str]) -> list[str]:
        """Return the common ancestors (or selves) that no other one descends from, sorted."""
        families = [{record, *self.index.ancestors(record)} for record in records]
        common = reduce(lambda one, two: one & two, families) if families else set()
        edges = self.index.edges_into(sorted(common))
        return sorted(common - {edge.parent for edge in edges})

    def graph(self, record: str) -> Graph:
        """Return a record with all that it descends from, for drawing."""
        return self.subgraph([record, *self.index.ancestors(record)], record)

    def subgraph(self, records: list[str], focus: str = "") -> Graph:
        """Return ``records`` and the edges among them, parents before children.

        What their releases and students say of them is added: domains, token shares, scores. A
        record that is not in the store, or is damaged there, is a node of the kind ``MISSING``.
        """
        inside = set(records)
        edges = [edge for edge in self.index.edges_into(records) if edge.parent in inside]
        known = overview(self._store)
        entries = known.by_digest()
        rows = {row.digest: row for row in self.index.rows(records)}
        nodes = [
            _node(rows[digest], known, entries.get(rows[digest].output, []))
            if digest in rows
            else missing(digest)
            for digest in in_order(records, edges)
        ]
        return annotate(Graph(tuple(nodes), tuple(edges), focus), self._store)

    def _digest(self, reference: str) -> str:
        bare = reference.removeprefix(PREFIX)
        if is_digest(reference):
            return reference
        is_hex = len(bare) >= _MIN_PREFIX and not bare.strip("0123456789abcdef")
        if not is_hex:
            return self._of_entry(self._registry.resolve(reference, allow_recalled=True))
        found = self.index.starting_with(bare)
        if len(found) != 1:
            problem = f"fits {len(found)} digests: {found[:3]}" if found else "fits no digest"
            raise UnknownReferenceError(
                f"{reference!r} {problem}; write more of it, or a name", code="ambiguous-digest"
            )
        return found[0]

    def _of_entry(self, entry: Entry) -> str:
        return entry.record or entry.digest


def _node(row: Row, known: Survey, mine: list[Entry]) -> Node:
    """Return a record as a node; ``mine`` are the registry entries of its output."""
    versions = [f"{entry.name}@{entry.version}" for entry in mine]
    aliases = sorted(alias for entry in mine for alias in known.pointing_at(entry))
    states = {known.status(entry) for entry in mine}
    said = row.settings | row.notes
    score, step = said.get("score"), said.get("step", said.get("stop_at"))
    domain = str(said.get("domain") or "")
    return Node(
        record=row.digest,
        kind=row.kind,
        label=", ".join(versions) or (f"{domain} {row.kind}" if domain else row.kind),
        output=row.output,
        output_kind=row.output_kind,
        owner=row.owner,
        domain=domain,
        step=step if isinstance(step, int) else 0,
        aliases=tuple(aliases),
        status=next((s for s in ("recalled", "retired", "active") if s in states), ""),
        score=_finite(score),
        unknown=_unknown(row.settings),
    )


def _unknown(settings: Mapping[str, object]) -> tuple[str, ...]:
    """Return the facts that an import's record leaves open."""
    declared = settings.get("declared")
    if not isinstance(declared, dict):
        return ()
    return tuple(sorted(str(name) for name, value in declared.items() if value == ""))


def _finite(score: object) -> float | None:
    """Return a score that can be drawn; None for anything else."""
    if not isinstance(score, int | float) or not abs(score) < LARGEST_SCORE:
        return None
    return float(score)


def checkpoint_behind(store: Store, records: Records, digest: str, record: str) -> Artifact | None:
    """Return the checkpoint that a recorded output is or names.

    None for data, reports and the like, and for what no record made.
    """
    if not record:
        return None
    kinds = {
        attestation.output_kind
        for attestation in records.attestations(record)
        if attestation.output == digest
    }
    if "release" in kinds:
        return parse_manifest(store.get_bytes(digest), Release).checkpoint
    if "student" in kinds:
        return parse_manifest(store.get_bytes(digest), Student).checkpoint
    if "checkpoint" in kinds:
        return Artifact(kind="checkpoint", digest=digest, record=record)
    return None


def checkpoint_named(store: Store, reference: str) -> Artifact:
    """Return the checkpoint that a reference names: of a student, of a release, or itself.

    A reference is what ``Lineage.find`` takes; it may name a recalled version. Raises LineageError
    if it does not name a model.
    """
    records = Records(store)
    record = Lineage(store).find(reference)
    made = records.output(record)
    found = made and checkpoint_behind(store, records, made.output, record)
    if not found:
        what = f"a {made.output_kind}" if made else "a record without an output in this store"
        raise LineageError(
            f"{reference!r} names {what}, not a model: name a student, such as student@released, "
            "or the digest of a checkpoint"
        )
    return found


def students_of(store: Store, checkpoint: Artifact) -> list[Artifact]:
    """Return the students' manifests that publish a checkpoint, in the order of their records.

    Those of the project that made it: others publish nothing of what they did not make.
    """
    records = Records(store)
    project = records.read(checkpoint.record).project
    found = []
    for user in Lineage(store).index.users(checkpoint.digest):
        if records.read(user).project != project:
            continue
        made = records.output(user)
        if made is None or made.output_kind != "student":
            continue
        if checkpoint_behind(store, records, made.output, user) == checkpoint:
            found.append(Artifact(kind="student", digest=made.output, record=user))
    return found
