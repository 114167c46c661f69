"""Declared ancestry held against the weights: every recorded parent, and parents that are not.

Whatever stands in a home's store with a parent and a grandparent by record is a true declaration:
rungs, supervised stages, merged students. A false one names another checkpoint that the child does
not descend from: another child of the same grandparent where there is one, which is the hard case.
"""

import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.results import Row, write_whole
from benchmarks.gate import cases as gate
from benchmarks.gate.mismatch import Family
from lineage.graph.graph import Lineage
from tasks.model.ancestry import CheckpointTensors, ancestry
from tasks.model.relation import Ancestry

PARENT = ("start", "student", "from 0")
FALSE_OF_EACH = 2
MOST_CANDIDATES = 8
CLIMB = {"rung", "rl"}
"""Rungs of one start are one climb: an earlier one is on the way to a later one."""
UNDOING = {"uniform", "template"}
"""Mismatches that overwrite weights on purpose: not the making that a record declares."""


@dataclass(frozen=True)
class Made:
    """A checkpoint and the record of its making."""

    record: str
    output: str
    kind: str
    parent: str
    """The record of what it was made from, "" for a base."""


@dataclass(frozen=True)
class Declaration:
    """A parent that a checkpoint might declare, the true one or a stranger."""

    child: Made
    declared: Made
    parent: Made
    grandparent: Made
    strangers: tuple[Made, ...]
    """Others that were made from the grandparent, and are not the child's kin."""

    @property
    def is_true(self) -> bool:
        """Whether the child was made from the declared parent."""
        return self.declared is self.parent


def declarations(family: Family, seed: int) -> Iterator[Declaration]:
    """Yield what everything in the family's store might declare, with its parent and others."""
    made = _made(family)
    lineage, rng = Lineage(family.runner.store), random.Random(seed)
    children = defaultdict(list)
    for each in made.values():
        children[each.parent].append(each)
    for child in made.values():
        parent = made.get(child.parent)
        grandparent = made.get(parent.parent) if parent else None
        if parent is None or grandparent is None or parent.output == grandparent.output:
            continue
        # What was made from the child's own climb went the same way: that is no stranger.
        kin = {child.record, *lineage.ancestors(child.record)}
        climb = {each.record for each in children[child.parent]}
        strangers = [
            m
            for m in children[parent.parent]
            if m.record not in kin
            and not climb & {m.record, *lineage.ancestors(m.record)}
            and not (parent.kind in CLIMB and m.kind in CLIMB)
        ]
        false = rng.sample(strangers, min(FALSE_OF_EACH, len(strangers)))
        near = tuple(rng.sample(strangers, min(MOST_CANDIDATES, len(strangers))))
        for declared in (parent, *false):
            if declared.output not in {child.output, grandparent.output}:
                yield Declaration(child, declared, parent, grandparent, near)


def checked(
    family: Family, declaration: Declaration, candidates: Sequence[Made]
) -> Ancestry | None:
    """Check a declaration against the weights, as the gate does."""
    store = family.runner.store
    return ancestry(
        store.tree(declaration.child.output),
        CheckpointTensors(declaration.declared.record, store.tree(declaration.declared.output)),
        store.tree(declaration.grandparent.output),
        [CheckpointTensors(each.record, store.tree(each.output)) for each in candidates],
    )


def run_ancestry(results: Path, family: Family, seed: int) -> None:
    """Ask of everything in the family's store, with its recorded parent and with others."""
    rows = []
    for each in declarations(family, seed):
        # As in the gate: what else was made from the same grandparent might be the parent instead.
        found = checked(family, each, (each.parent, *each.strangers))
        if found is None or found.projection is None:
            continue
        rows.append(
            {
                "kind": each.child.kind,
                "true": each.is_true,
                "projection": round(found.projection, 4),
                "distance": round(found.distance, 5),
                "contradicted": found.contradicted,
            }
        )
    whole = gate.read(results)
    whole["ancestry"][str(seed)] = rows
    write_whole(results, whole)
    sys.stderr.write(f"{seed}: {told(rows)}\n")


def told(rows: Sequence[Row]) -> str:
    """Return how many true declarations were contradicted, and how many false ones were found."""
    true = [row["contradicted"] for row in rows if row["true"]]
    false = [row["contradicted"] for row in rows if not row["true"]]
    return (
        f"{sum(true)} of {len(true)} true declarations contradicted, "
        f"{sum(false)} of {len(false)} false ones found"
    )


def _made(family: Family) -> dict[str, Made]:
    """Return every checkpoint of the store once, by record."""
    records, found, seen = family.runner.records, {}, set[str]()
    for digest in records.all():
        output = records.output(digest)
        if output is None or output.output_kind != "checkpoint" or output.output in seen:
            continue
        derivation = records.read(digest)
        if str(derivation.settings.get("mismatch")) in UNDOING:
            continue
        seen.add(output.output)
        parents = [item.record for item in derivation.inputs if item.role in PARENT]
        parent = parents[0] if parents else ""
        found[digest] = Made(digest, output.output, derivation.kind, parent)
    return found
