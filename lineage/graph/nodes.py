"""A part of the graph of records as values: what a picture, a table or a check looks at."""

from collections import deque
from dataclasses import dataclass

from lineage.graph.index import Edge


@dataclass(frozen=True)
class Node:
    """One record, with what a picture says of it."""

    record: str
    kind: str
    label: str
    """What a person calls it: ``teacher.math@3``, ``math sft``."""
    output: str
    """Digest of what came out; "" while nothing is attested."""
    output_kind: str = ""
    owner: str = ""
    domain: str = ""
    step: int = 0
    aliases: tuple[str, ...] = ()
    status: str = ""
    """active, retired or recalled, where the output is registered; else ""."""
    score: float | None = None


@dataclass(frozen=True)
class Graph:
    """Nodes, parents before children, and the edges among them. ``focus`` is what it is about."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    focus: str = ""


MISSING = "missing"
"""Kind of a node if its record is missing from the store or damaged."""


def missing(record: str) -> Node:
    """Return the node of a record that cannot be read."""
    return Node(record=record, kind=MISSING, label=f"no record {record[:19]}", output="")


def in_order(records: list[str], edges: list[Edge]) -> list[str]:
    """Return ``records`` with parents before children; ties keep the order given, reversed."""
    waiting = dict.fromkeys(records, 0)
    children: dict[str, list[str]] = {}
    for edge in edges:
        if edge.parent in waiting and edge.child in waiting:
            waiting[edge.child] += 1
            children.setdefault(edge.parent, []).append(edge.child)
    ready = deque(record for record in reversed(records) if not waiting[record])
    ordered = []
    while ready:
        current = ready.popleft()
        ordered.append(current)
        for child in children.get(current, []):
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    return ordered
