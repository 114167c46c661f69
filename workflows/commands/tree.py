"""A graph of records as a tree for the terminal."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.markup import escape
from rich.tree import Tree

from lineage.index import Edge
from lineage.nodes import Graph, Node

_NUM_HEX = 12


def tree_of(graph: Graph) -> Tree:
    """Return the tree from a graph's focus to what it descends from."""
    nodes = {node.record: node for node in graph.nodes}
    parents: dict[str, list[Edge]] = defaultdict(list)
    for edge in graph.edges:
        parents[edge.child].append(edge)
    tree = Tree(label(nodes[graph.focus]))
    _Growing(nodes, parents).grow(tree, graph.focus)
    return tree


def label(node: Node) -> str:
    """Return a record as one line of markup: name, digest of its output, owner, state."""
    owner = f" [dim]{escape(node.owner)}[/]" if node.owner else ""
    status = f" [red]{node.status}[/]" if node.status not in {"", "active"} else ""
    return f"[b]{escape(node.label)}[/] {node.output[7 : 7 + _NUM_HEX]}{owner}{status}"


@dataclass
class _Growing:
    nodes: Mapping[str, Node]
    parents: Mapping[str, Sequence[Edge]]
    drawn: set[str] = field(default_factory=set)

    def grow(self, tree: Tree, record: str) -> None:
        """Add a record's parents; what was drawn above is named again and not unfolded again."""
        self.drawn.add(record)
        roles: dict[str, list[str]] = defaultdict(list)
        for edge in self.parents.get(record, ()):
            roles[edge.parent].append(f"{edge.role} {edge.name}".strip())
        for parent, named in roles.items():
            branch = tree.add(f"[dim]{escape(', '.join(named))}:[/] {label(self.nodes[parent])}")
            if parent not in self.drawn:
                self.grow(branch, parent)
