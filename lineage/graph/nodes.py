"""A part of the graph of records as values: what a picture, a table or a check looks at.

Records name inputs by role. ``annotate`` adds what releases and students hold: the domain of a
climb, each teacher's share of the tokens, and the scores.
"""

import json
from collections import deque
from dataclasses import dataclass, replace
from typing import TypeVar

from pydantic import JsonValue

from lineage.artifacts import Release, Student, parse_manifest
from lineage.errors import LineageError
from lineage.graph.index import Edge
from lineage.store.store import Store
from lineage.wheels import in_words, wheels_of


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
    unknown: tuple[str, ...] = ()
    """Facts of an import that its team did not state, by name."""
    packages: tuple[str, ...] = ()
    """Packages that an environment carries, each with version and license."""
    system_prompt: str = ""
    """System prompt that the teacher of a release alone sees; "" for none."""


@dataclass(frozen=True)
class Graph:
    """Nodes, parents before children, and their edges. ``focus`` is the record in question."""

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


_OVERALL = "overall"
Manifest = TypeVar("Manifest", Release, Student)


def annotate(graph: Graph, store: Store) -> Graph:
    """Return ``graph`` with domains, shares and scores from the manifests among its outputs.

    A manifest or scorecard that cannot be read adds nothing: the graph is for display, and
    ``verify`` reports damage.
    """
    nodes = {node.record: node for node in graph.nodes}
    edges = list(graph.edges)
    for node in graph.nodes:
        if node.output_kind == "release":
            release = _read(store, node, Release)
            if release is not None:
                named = replace(nodes[node.record], system_prompt=release.system_prompt)
                nodes[node.record] = _scored(named, store, release, "teacher")
                _name_climb(nodes, graph.edges, node.record, release.domain)
        elif node.output_kind == "environment":
            nodes[node.record] = replace(node, packages=_packages(store, node))
        elif node.output_kind == "student":
            student = _read(store, node, Student)
            if student is not None:
                nodes[node.record] = _scored(nodes[node.record], store, student, "student")
                edges = _with_shares(edges, student)
    return Graph(tuple(nodes.values()), tuple(edges), graph.focus)


def _packages(store: Store, node: Node) -> tuple[str, ...]:
    try:
        return tuple(in_words(wheels_of(store, node.output)))
    except LineageError:
        return ()


def _read(store: Store, node: Node, model: type[Manifest]) -> Manifest | None:
    try:
        return parse_manifest(store.get_bytes(node.output), model)
    except LineageError:
        return None


def _scored(node: Node, store: Store, manifest: Release | Student, method: str) -> Node:
    """Return the node with the mean that its scorecard gives it over all its domains."""
    try:
        card: JsonValue = json.loads(store.get_bytes(manifest.scorecard.digest))
    except (LineageError, ValueError, RecursionError):
        return node
    for key in (_OVERALL, method, "mean"):
        card = card.get(key) if isinstance(card, dict) else None
    return replace(node, score=float(card)) if isinstance(card, int | float) else node


def _name_climb(nodes: dict[str, Node], edges: tuple[Edge, ...], release: str, domain: str) -> None:
    """Name the records that led to a release after its domain, unless they have a name."""
    climb = ("checkpoint", "precursor", "ladder")
    members = [
        edge.parent
        for edge in edges
        if edge.child == release and edge.role.partition("[")[0] in climb
    ]
    for record in members:
        node = nodes[record]
        if not node.domain:
            label = f"{domain} {node.kind}" if node.label == node.kind else node.label
            nodes[record] = replace(node, domain=domain, label=label)


def _with_shares(edges: list[Edge], student: Student) -> list[Edge]:
    """Give each teacher's edge into the student's checkpoint its share of the routed tokens."""
    total = sum(teacher.tokens_routed for teacher in student.teachers)
    if not total:
        return edges
    shares = {teacher.domain: teacher.tokens_routed / total for teacher in student.teachers}
    return [
        replace(edge, weight=shares[edge.name])
        if edge.child == student.checkpoint.record
        and edge.role == "teacher"
        and edge.name in shares
        else edge
        for edge in edges
    ]
