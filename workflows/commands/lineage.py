"""``provost lineage``: what a checkpoint is made of."""

from collections import defaultdict

import click
from rich.console import Console
from rich.tree import Tree

from lineage.errors import LineageError
from lineage.graph import Lineage
from lineage.index import Edge
from lineage.nodes import Graph, Node
from lineage.store import open_store

_NUM_HEX = 12


@click.group()
def lineage() -> None:
    """Records: what came from what."""


@lineage.command()
@click.argument("reference")
def show(reference: str) -> None:
    """Draw what REFERENCE (a name, or a digest) descends from."""
    known = Lineage(open_store())
    try:
        graph = known.graph(known.find(reference))
    except LineageError as error:
        raise click.ClickException(str(error)) from error
    Console().print(_tree(graph))


def _tree(graph: Graph) -> Tree:
    nodes = {node.record: node for node in graph.nodes}
    parents: dict[str, list[Edge]] = defaultdict(list)
    for edge in graph.edges:
        if edge.parent in nodes:  # a raw input has no record to draw
            parents[edge.child].append(edge)
    tree = Tree(_label(nodes[graph.focus]))
    drawn: set[str] = set()
    _grow(tree, graph.focus, nodes, parents, drawn)
    return tree


def _grow(
    tree: Tree,
    record: str,
    nodes: dict[str, Node],
    parents: dict[str, list[Edge]],
    drawn: set[str],
) -> None:
    """Add the parents of a record; what was drawn above is named again but not unfolded again."""
    drawn.add(record)
    for edge in parents[record]:
        role = f"{edge.role} {edge.name}".strip()
        branch = tree.add(f"[dim]{role}:[/] {_label(nodes[edge.parent])}")
        if edge.parent not in drawn:
            _grow(branch, edge.parent, nodes, parents, drawn)


def _label(node: Node) -> str:
    owner = f" [dim]{node.owner}[/]" if node.owner else ""
    status = f" [red]{node.status}[/]" if node.status not in {"", "active"} else ""
    return f"[b]{node.label}[/] {node.output[7 : 7 + _NUM_HEX]}{owner}{status}"
