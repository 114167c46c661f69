"""Promotes a version from one store to another, say from development to production.

Blobs are copied. Statements are signed again in the other store, with the key that is valid there,
so the promoter vouches for the work of one project. Work of other projects must be there already:
their owners promote it.
"""

from collections.abc import Iterable

from lineage.artifacts import Artifact
from lineage.errors import CorruptError, LineageError, MissingBlobError, NotEntitledError
from lineage.graph.graph import Lineage
from lineage.records.derivation import Derivation
from lineage.records.record import Records
from lineage.registry.registry import Entry, Registry, check_may_publish
from lineage.store.documents import digests_in
from lineage.store.store import Store, read_tree

_DOCUMENT_BYTES = 64 << 20
"""Larger blobs are weights or rows: they are not searched for digests."""


def promote(source: Store, target: Store, reference: str) -> Entry:
    """Register in ``target`` what a reference names in ``source``; return its entry there.

    Doing it again changes nothing.

    Raises:
        NotEntitledError: for a name that is not the author's in the target, and for an ancestor
            that another project made and has not promoted.
        LineageError: for a version that was recalled, or that no record made.
    """
    entry = Registry(source).resolve(reference)
    check_may_publish(target, entry.name)
    if not entry.record:
        raise LineageError(
            f"{entry.name}@{entry.version} has no record, so its origin is unknown and it "
            "cannot be promoted: release it again with its records"
        )
    lineage = Lineage(source)
    family = [*reversed(lineage.ancestors(entry.record)), entry.record]
    for record in _parents_first(Records(source), family):
        _promote_record(source, target, record)
    _copy(source, target, entry.digest)
    artifact = Artifact(kind=entry.kind, digest=entry.digest, record=entry.record, uri=target.uri)
    return Registry(target).register(entry.name, artifact, owner=entry.owner, note=entry.note)


def _parents_first(records: Records, family: Iterable[str]) -> list[str]:
    left, order = dict.fromkeys(family), list[str]()
    while left:
        ready = [item for item in left if not left.keys() & set(records.parents(item))]
        order += ready
        for item in ready:
            del left[item]
    return order


def _promote_record(source: Store, target: Store, record: str) -> None:
    ours, theirs = Records(source), Records(target)
    derivation = ours.read(record)
    said = ours.output(record)
    if said is None:
        raise LineageError(
            f"record {record} ({derivation.kind}) has no output in {source.uri}: run its step "
            "there again, then promote"
        )
    if derivation.project != theirs.journal.author.project:
        present = theirs.finished(record)
        if present is None or present.output != said.output:
            raise NotEntitledError(_why_not(derivation, theirs))
        return
    for item in derivation.inputs:
        _copy(source, target, item.artifact)
    _copy(source, target, said.output)
    if said.metrics:
        _copy(source, target, said.metrics)
    theirs.write(derivation, said)


def _why_not(made: Derivation, theirs: Records) -> str:
    project, uri = made.project or "no project", theirs.journal.store.uri
    told = f"{made.kind} {made.digest()} belongs to {project}, and is not in {uri}"
    if made.project in theirs.journal.projects:
        return f"{told}: have its owner promote it first"
    return (
        f"{told}. No team there has that project, so no key could vouch for it: make it in a "
        "store with the teams of the other one, such as your cluster's development store"
    )


def _copy(source: Store, target: Store, digest: str) -> None:
    """Copy a blob or tree with all that it names. What the source has lost stays lost."""
    todo, seen = [digest], {digest}
    while todo:
        current = todo.pop()
        try:
            named = _copy_one(source, target, current)
        except MissingBlobError:
            if current == digest:
                raise
            continue
        fresh = named - seen
        seen |= fresh
        todo += fresh


def _copy_one(source: Store, target: Store, digest: str) -> set[str]:
    """Copy one blob or tree; return what it names."""
    try:
        files = read_tree(source, digest).files
    except MissingBlobError:
        raise
    except CorruptError:
        data = source.get_bytes(digest)
        target.put_bytes(data)
        return digests_in(data) if len(data) <= _DOCUMENT_BYTES else set()
    folder = source.tree(digest)
    if target.put_tree(folder) != digest:
        raise CorruptError(f"{target.uri} holds another folder under {digest}")
    small = [folder / file.path for file in files if file.size <= _DOCUMENT_BYTES]
    return set().union(*(digests_in(path.read_bytes()) for path in small if _is_text(path.name)))


def _is_text(name: str) -> bool:
    return name.endswith((".json", ".jsonl"))
