"""Records for the terminal: a graph as a tree, differences in few lines."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from rich.text import Text
from rich.tree import Tree

from lineage.errors import plain
from lineage.graph.diff import Difference
from lineage.graph.index import Edge
from lineage.graph.nodes import Graph, Node

_NUM_HEX = 12
_MOST_ALIKE = 3


def tree_of(graph: Graph) -> Tree:
    """Return the tree from a graph's focus to what it descends from."""
    nodes = {node.record: node for node in graph.nodes}
    parents: dict[str, list[Edge]] = defaultdict(list)
    for edge in graph.edges:
        parents[edge.child].append(edge)
    tree = Tree(label(nodes[graph.focus]))
    _Growing(nodes, parents).grow(tree, graph.focus)
    return tree


def label(node: Node) -> Text:
    """Return a record as one line: name, digest of its output, owner, state."""
    parts = [(plain(node.label), "bold"), (f" {node.output[7 : 7 + _NUM_HEX]}", "")]
    parts += [(f" {plain(node.owner)}", "dim")] if node.owner else []
    parts += [(f" {node.status}", "red")] if node.status not in {"", "active"} else []
    parts += [(f" unknown: {plain(', '.join(node.unknown))}", "yellow")] if node.unknown else []
    return Text.assemble(*parts)


def short(text: str) -> str:
    """Return the first digits of a digest; return any other text unchanged."""
    return text[7 : 7 + _NUM_HEX] if re.fullmatch(r"sha256:[0-9a-f]{64}", text) else text


def folded(found: Sequence[Difference]) -> Iterator[Difference]:
    """Return the differences with numbered ones, such as a ladder's rungs, folded into one line."""

    def family(item: Difference) -> tuple[str, str]:
        return item.where, re.sub(r"\d+", "*", item.what)

    for (_, what), group in groupby(found, family):
        members = list(group)
        if len(members) > _MOST_ALIKE:
            first, last = short(members[0].before), short(members[0].after)
            more = f" and {len(members) - 1} more"
            yield replace(members[0], what=what, before=first + more, after=last + more)
        else:
            yield from members


@dataclass
class _Growing:
    nodes: Mapping[str, Node]
    parents: Mapping[str, Sequence[Edge]]
    drawn: set[str] = field(default_factory=set)

    def grow(self, tree: Tree, record: str) -> None:
        """Add a record's parents; what was drawn above is named again and not unfolded again."""
        self.drawn.add(record)
        if text := self.nodes[record].system_prompt:
            tree.add(Text(f"alone sees the system prompt: {plain(text)}", style="dim"))
        for package in self.nodes[record].packages:
            tree.add(Text(f"carries {plain(package)}", style="dim"))
        roles: dict[str, list[str]] = defaultdict(list)
        for edge in self.parents.get(record, ()):
            roles[edge.parent].append(f"{edge.role} {edge.name}".strip())
        for parent, named in roles.items():
            roles_of = Text(f"{plain(', '.join(named))}: ", style="dim")
            branch = tree.add(Text().append_text(roles_of).append_text(label(self.nodes[parent])))
            if parent not in self.drawn:
                self.grow(branch, parent)
