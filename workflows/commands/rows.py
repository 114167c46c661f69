"""``provost lineage rows``: what a model was trained and measured on, down to the row."""

from collections import defaultdict

import click

from lineage.graph.graph import Lineage
from lineage.records.record import Records
from lineage.store.store import Store, open_store
from workflows.commands.output import complain, say, tabulate
from workflows.commands.tree import short

DATASET = "dataset"


@click.command("rows")
@click.argument("reference")
@click.option(
    "--limit", default=10, show_default=True, type=click.IntRange(min=0), help="0 prints all rows."
)
def rows(reference: str, limit: int) -> None:
    """List the data sets behind a model REFERENCE, or print the rows of a data set, by digest."""
    store = open_store()
    known = Lineage(store)
    record = known.find(reference)
    attested = Records(store).output(record)
    if attested is not None and attested.output_kind == DATASET:
        _print_rows(store, attested.output, limit)
        return
    graph = known.graph(record)
    found = [node for node in graph.nodes if node.output_kind == DATASET]
    if not found:
        raise click.ClickException(f"{reference!r} descends from no data set of this store")
    roles = defaultdict[str, set[str]](set)
    for edge in graph.edges:
        roles[edge.parent].add(edge.role)
    table = (
        [
            node.label,
            short(node.output),
            str(len(_rows(store, node.output))),
            node.owner,
            ", ".join(sorted(roles[node.record])),
        ]
        for node in found
    )
    tabulate(["data set", "digest", "rows", "owner", "taken as"], table)
    say(f"To print rows: provost lineage rows {short(found[0].output)}")


def _print_rows(store: Store, digest: str, limit: int) -> None:
    lines = _rows(store, digest)
    for line in lines[: limit or None]:
        say(line)
    if 0 < limit < len(lines):
        complain(f"{limit} of {len(lines)} rows; --limit 0 prints all")


def _rows(store: Store, digest: str) -> list[str]:
    return store.get_bytes(digest).decode("utf-8", "replace").splitlines()
