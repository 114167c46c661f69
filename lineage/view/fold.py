"""Make a graph small enough to look at: models only, and each ladder as one node."""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lineage.graph.handed import Handed
from lineage.graph.index import Edge
from lineage.graph.nodes import Graph, Node, in_order

MODEL_KINDS = frozenset({"checkpoint", "reward_model", "release", "student"})
NEVER_FOLDED = frozenset({"base", "mopd", "release", "merge", "student", "publish"})
"""Kinds of record that people look for one by one."""
KEPT_ROLES = frozenset({"teacher", "student", *Handed})
"""Roles that are drawn even if a longer path connects the same boxes."""
FEWEST_TO_FOLD = 3
MOST_BOXES = 250
"""Most boxes of a picture. A large organization's student has a thousand: placing them takes a
minute, and nothing can be found among them."""


@dataclass(frozen=True)
class Drawn:
    """One box of a picture: a record, or a whole ladder."""

    id: str
    node: Node
    """The record; of a ladder, its last rung."""
    rungs: tuple[Node, ...] = ()
    """All records of a ladder by step; empty for a single record."""


@dataclass(frozen=True)
class Line:
    """The inputs that one box took from another, in one line."""

    parent: str
    child: str
    roles: tuple[str, ...]
    name: str
    weight: float | None


def models_only(graph: Graph) -> Graph:
    """Return what led to the focus, without data, environments, scorecards and controls.

    A student's record takes a teacher's checkpoint; the picture shows it come from the release
    that the checkpoint was taken from.
    """
    nodes = {node.record for node in graph.nodes if node.output_kind in MODEL_KINDS}
    edges = [
        edge
        for edge in graph.edges
        if {edge.parent, edge.child} <= nodes and not edge.role.startswith("controls.")
    ]
    releases = {node.record for node in graph.nodes if node.output_kind == "release"}
    released = {
        edge.parent: edge.child
        for edge in edges
        if edge.child in releases and edge.role == "checkpoint"
    }
    edges = [
        replace(edge, parent=released[edge.parent])
        if edge.role == "teacher" and edge.parent in released
        else edge
        for edge in edges
    ]
    if graph.focus:
        nodes = _leading_to(graph.focus, edges)
    kept = tuple(edge for edge in edges if {edge.parent, edge.child} <= nodes)
    order = [node.record for node in graph.nodes if node.record in nodes]
    known = {node.record: node for node in graph.nodes}
    ordered = in_order(order[::-1], list(kept))
    return Graph(tuple(known[record] for record in ordered), kept, graph.focus)


def nearest(graph: Graph, most: int) -> Graph:
    """Return a graph of at most ``most`` records: the focus, what it took, and so on."""
    records = [node.record for node in graph.nodes]
    if len(records) <= most:
        return graph
    return _within(graph, _nearest(graph.focus, records, graph.edges, most))


def _nearest(focus: str, names: Sequence[str], edges: Iterable[Edge], most: int) -> set[str]:
    """Return the ``most`` names nearest to the focus; without one, the last ones."""
    parents: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        parents[edge.child].append(edge.parent)
    todo, near = deque([focus] if focus else names[: -most - 1 : -1]), set[str]()
    while todo and len(near) < most:
        name = todo.popleft()
        if name not in near:
            near.add(name)
            todo += parents[name]
    return near


def _within(graph: Graph, records: set[str]) -> Graph:
    nodes = tuple(node for node in graph.nodes if node.record in records)
    edges = tuple(edge for edge in graph.edges if {edge.parent, edge.child} <= records)
    return Graph(nodes, edges, graph.focus)


def _leading_to(focus: str, edges: list[Edge]) -> set[str]:
    parents: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        parents[edge.child].append(edge.parent)
    found, todo = {focus}, [focus]
    while todo:
        fresh = [parent for parent in parents[todo.pop()] if parent not in found]
        found.update(fresh)
        todo += fresh
    return found


def fold(graph: Graph) -> tuple[list[Drawn], list[Line]]:
    """Return the boxes, parents first, and the lines of a graph with its ladders folded."""
    box_of, ladders = _boxes(graph)
    known = {node.record: node for node in graph.nodes}
    lines = _lines(graph, box_of)
    order = _ordered(graph, box_of)
    return [Drawn(box, known[box], ladders.get(box, ())) for box in order], lines


def nearest_boxes(graph: Graph) -> Graph:
    """Return the part of a graph that makes at most ``MOST_BOXES`` boxes: those near the focus."""
    box_of = _boxes(graph)[0]
    boxes, edges = _contracted(graph, box_of)
    if len(boxes) <= MOST_BOXES:
        return graph
    focus = box_of.get(graph.focus, "")
    near = _nearest(focus, boxes, edges, MOST_BOXES)
    return _within(graph, {record for record, box in box_of.items() if box in near})


def _boxes(graph: Graph) -> tuple[dict[str, str], dict[str, tuple[Node, ...]]]:
    """Return the box of each record, and the rungs of each ladder by its box."""
    alone = {node.record: node.record for node in graph.nodes}
    ladders = {}
    for ladder in _ladders(graph):
        if len(ladder) >= FEWEST_TO_FOLD:
            rungs = tuple(sorted(ladder, key=lambda node: (node.step, node.record)))
            ladders[rungs[-1].record] = rungs
    whole = alone | {node.record: box for box, rungs in ladders.items() for node in rungs}
    if _is_acyclic(graph, whole):
        return whole, ladders
    box_of, folded = alone, {}
    for box, rungs in ladders.items():
        trial = box_of | {node.record: box for node in rungs}
        if _is_acyclic(graph, trial):
            box_of = trial
            folded[box] = rungs
    return box_of, folded


def _ladders(graph: Graph) -> list[list[Node]]:
    """Return groups of like records that grew from one start, as siblings or one from another."""
    parents: dict[str, list[str]] = defaultdict(list)
    for edge in graph.edges:
        parents[edge.child].append(edge.parent)
    group_of: dict[str, tuple[str, ...]] = {}
    groups: dict[tuple[str, ...], list[Node]] = defaultdict(list)
    for node in graph.nodes:
        if node.kind in NEVER_FOLDED or node.status or node.record == graph.focus:
            continue
        kind = "rl" if node.kind == "rung" else node.kind
        like = (kind, node.domain or node.label, node.owner)
        inherited = [group_of[p] for p in parents[node.record] if group_of.get(p, ())[:3] == like]
        group = inherited[0] if inherited else (*like, *sorted(set(parents[node.record])))
        group_of[node.record] = group
        groups[group].append(node)
    return list(groups.values())


def _contracted(graph: Graph, box_of: dict[str, str]) -> tuple[list[str], list[Edge]]:
    boxes = list(dict.fromkeys(box_of[node.record] for node in graph.nodes))
    edges = [
        Edge(box_of[edge.child], box_of[edge.parent], edge.role, edge.name, "", edge.weight)
        for edge in graph.edges
        if box_of[edge.child] != box_of[edge.parent]
    ]
    return boxes, edges


def _ordered(graph: Graph, box_of: dict[str, str]) -> list[str]:
    boxes, edges = _contracted(graph, box_of)
    return in_order(boxes[::-1], edges)


def _is_acyclic(graph: Graph, box_of: dict[str, str]) -> bool:
    """Say whether boxes can still be put in order: a ladder folded around a round cannot."""
    return len(_ordered(graph, box_of)) == len(set(box_of.values()))


def _lines(graph: Graph, box_of: dict[str, str]) -> list[Line]:
    between: dict[tuple[str, str], list[Edge]] = defaultdict(list)
    for edge in _contracted(graph, box_of)[1]:
        between[edge.parent, edge.child].append(edge)
    lines = []
    for (parent, child), edges in between.items():
        weights = [edge.weight for edge in edges if edge.weight is not None]
        roles = tuple(dict.fromkeys(edge.role for edge in edges))
        names = {edge.name for edge in edges if edge.name}
        name = names.pop() if len(names) == 1 else ""
        lines.append(Line(parent, child, roles, name, sum(weights) if weights else None))
    return _without_shortcuts(lines)


def _without_shortcuts(lines: list[Line]) -> list[Line]:
    """Leave out a line that a longer way says already: a release names its fork point again."""
    children: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        children[line.parent].add(line.child)

    def reaches(start: str, end: str) -> bool:
        todo, seen = [child for child in children[start] if child != end], set()
        while todo:
            current = todo.pop()
            if current == end:
                return True
            if current not in seen:
                seen.add(current)
                todo += children[current]
        return False

    return [
        line
        for line in lines
        if KEPT_ROLES & set(line.roles) or not reaches(line.parent, line.child)
    ]
