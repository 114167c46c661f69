"""``provost lineage``: ancestors and descendants of checkpoints, and their verification."""

from collections.abc import Callable
from pathlib import Path

import click
from rich.text import Text

from lineage.errors import LineageError, plain
from lineage.graph.diff import diff as differences
from lineage.graph.graph import Lineage
from lineage.graph.nodes import MISSING, Graph, Node
from lineage.mirror import reindex as rebuild
from lineage.mirror.connection import tracking_uri, without_password
from lineage.operations import gc as garbage
from lineage.operations.adoption import adopt as adopt_all
from lineage.operations.promotion import promote as bring
from lineage.records.record import Records
from lineage.store.store import Store, open_store
from lineage.trust.author import key_at_hand
from lineage.view.picture import page
from workflows.commands import answers
from workflows.commands.documents import (
    Blob,
    Differences,
    DiffLine,
    Garbage,
    Record,
    RecordList,
)
from workflows.commands.models import export_command
from workflows.commands.output import as_json, draw, emit, say, tabulate, tell_left_out
from workflows.commands.rows import rows
from workflows.commands.tree import folded, label, short, tree_of
from workflows.commands.verify import verify

HOUR_SECONDS = 3600.0


@click.group()
def lineage() -> None:
    """Show, compare and verify records of how checkpoints were made."""


@lineage.command()
@click.argument("reference")
@click.option("--html", type=click.Path(path_type=Path), help="Write the graph to this HTML file.")
@as_json
def show(reference: str, html: Path | None, as_document: bool) -> None:
    """Draw what REFERENCE (a name such as student@released, or a digest) descends from."""
    known = Lineage(open_store())
    graph = known.graph(known.find(reference))
    if html is not None:
        html.write_text(page(graph, reference), encoding="utf-8")
    if as_document:
        emit(_graph(known, graph))
    elif html is None:
        draw(tree_of(graph))
    else:
        say(str(html))
    _tell_missing(known, graph)


@lineage.command()
@click.argument("reference")
@as_json
def ancestors(reference: str, as_document: bool) -> None:
    """List the records that REFERENCE descends from, nearest first."""
    _list(reference, lambda known, record: known.ancestors(record), as_document)


@lineage.command()
@click.argument("reference")
@as_json
def descendants(reference: str, as_document: bool) -> None:
    """List the records that descend from REFERENCE."""
    _list(reference, lambda known, record: known.descendants(record), as_document)


def _list(reference: str, ask: Callable[[Lineage, str], list[str]], as_document: bool) -> None:
    known = Lineage(open_store())
    wanted = ask(known, known.find(reference))
    graph = known.subgraph(wanted)
    nodes: dict[str, Node] = {node.record: node for node in graph.nodes}
    if as_document:
        records = [_record(nodes[record]) for record in wanted]
        emit(RecordList(records=records, problems=_missing(known, graph)))
        _tell_missing(known, graph)
        return
    for record in wanted:
        kind = plain(nodes[record].kind)
        draw(Text(f"{record[7:19]}  {kind:<15} ").append_text(label(nodes[record])))
    _tell_missing(known, graph)


def _tell_missing(known: Lineage, graph: Graph) -> None:
    """Report unreadable parts of a graph, and end with exit status 1 if there are any."""
    tell_left_out(_missing(known, graph))


def _missing(known: Lineage, graph: Graph) -> list[str]:
    shown = {node.record for node in graph.nodes}
    why = [f"{item.key}: {item.why}" for item in known.index.left_out if item.record in shown]
    gone = [node.record for node in graph.nodes if node.kind == MISSING]
    return [*why, *(f"record {record}: cannot be read" for record in gone)]


def _graph(known: Lineage, graph: Graph) -> answers.GraphAnswer:
    edges = [
        answers.Taken(
            record=edge.child,
            took_from=edge.parent,
            role=edge.role,
            name=edge.name,
            artifact=edge.artifact,
            weight=edge.weight,
        )
        for edge in graph.edges
    ]
    problems = _missing(known, graph)
    return answers.GraphAnswer(
        record=graph.focus, records=[*map(_record, graph.nodes)], inputs=edges, problems=problems
    )


def _record(node: Node) -> Record:
    facts = {name: fact for name, fact in vars(node).items() if name in Record.model_fields}
    return Record.model_validate(facts)


@lineage.command()
@click.argument("before")
@click.argument("after")
@as_json
def diff(before: str, after: str, as_document: bool) -> None:
    """Compare how two checkpoints were made: data, settings, code, parents."""
    store = open_store()
    known = Lineage(store)
    found = differences(Records(store), known.find(before), known.find(after))
    if as_document:
        emit(Differences(differences=[DiffLine(**vars(item)) for item in found]))
        return
    if not found:
        say("made of the same inputs, in the same way, under the same circumstances")
        return
    tabulate(
        ("where", "what", before, after),
        (
            (item.where or "itself", item.what, short(item.before), short(item.after))
            for item in folded(found)
        ),
    )


lineage.add_command(export_command("model"))
lineage.add_command(rows)
lineage.add_command(verify)


@lineage.command("gc")
@click.option("--delete", is_flag=True, help="Delete the blobs instead of listing them.")
@click.option(
    "--grace-hours",
    default=24.0,
    show_default=True,
    help="Age in hours below which blobs are kept.",
)
@click.option(
    "--give-up", multiple=True, metavar="DIGEST", help="Damaged document that cannot be restored."
)
@as_json
def collect(delete: bool, grace_hours: float, give_up: tuple[str, ...], as_document: bool) -> None:
    """List or delete blobs that no record or name refers to."""
    store: Store = open_store()
    act = garbage.collect if delete else garbage.find_garbage
    found = act(store, grace_hours * HOUR_SECONDS, give_up)
    if as_document:
        emit(_garbage(found, delete))
        return
    for blob in found.remove:
        say(f"{blob.digest}  {blob.size} bytes, {blob.age_seconds / HOUR_SECONDS:.1f} h old")
    for digest in found.damaged:
        say(f"damaged: {digest} has other bytes; no name and no record rests on it")
    verb = "removed" if delete else "would remove"
    say(f"{verb} {len(found.remove)} blobs ({found.size / 1e6:.1f} MB), keeps {found.kept}")
    if found.young:
        say(_of_young(found, grace_hours))


def _of_young(found: garbage.CollectionPlan, grace_hours: float) -> str:
    """Return what is kept for its age alone, and how to collect it sooner."""
    size, least = sum(blob.size for blob in found.young), garbage.LEAST_GRACE_SECONDS / HOUR_SECONDS
    text = (
        f"{len(found.young)} of them ({size / 1e6:.1f} MB) are named by nothing yet and younger "
        f"than {grace_hours:g} h"
    )
    sooner = f": `--grace-hours {least:g}` collects those of more than {least:g} h"
    return text + (sooner if grace_hours > least else "")


def _garbage(found: garbage.CollectionPlan, deleted: bool) -> Garbage:
    blobs = [
        Blob(digest=b.digest, bytes=b.size, age_hours=b.age_seconds / HOUR_SECONDS)
        for b in found.remove
    ]
    return Garbage(
        deleted=deleted,
        kept=found.kept,
        young=len(found.young),
        young_bytes=sum(blob.size for blob in found.young),
        blobs=blobs,
        damaged=list(found.damaged),
    )


@lineage.command()
@as_json
def reindex(as_document: bool) -> None:
    """Compare MLflow with the records, and rebuild what is missing or differs."""
    try:
        done = rebuild(open_store())
    except LineageError:
        raise
    except Exception as error:  # noqa: BLE001 - MLflow, its database and HTTP raise all kinds
        what = plain(without_password(f"{type(error).__name__}: {error}"))
        raise click.ClickException(
            f"MLflow at {without_password(tracking_uri())} failed: {what[:500]}. Nothing is lost: "
            "check MLflow with `provost doctor`, then run this again"
        ) from None
    if as_document:
        emit(answers.ReindexAnswer.model_validate(done._asdict()))
        raise SystemExit(1 if done.problems else 0)
    say(f"{done.records} records, {done.names} names, {done.versions} versions in MLflow")
    for what in done.repaired:
        say(f"repaired {what}")
    tell_left_out(done.problems)


@lineage.command()
def adopt() -> None:
    """Sign, once, the unsigned statements of an older store."""
    store = open_store()
    root, count = adopt_all(store, key_at_hand())
    say(f"{count} statements of {store.uri} count from now on (trust root {root.version})")


@lineage.command()
@click.argument("record")
@click.argument("output")
@click.option("--reason", required=True, help="Why; it stays in the record forever.")
def keep(record: str, output: str, reason: str) -> None:
    """Declare OUTPUT the only valid output of RECORD (both digests)."""
    store = open_store()
    Records(store).keep(Lineage(store).find(record), output, reason)
    say(f"{output} counts as the output of {record}")


@lineage.command()
@click.argument("reference")
@click.option("--to", "place", required=True, help="The other store: a folder or s3://...")
def promote(reference: str, place: str) -> None:
    """Copy a version, such as math@3, to another store, signed with a key valid there."""
    entry = bring(open_store(), open_store(place), reference)
    say(f"{entry.name}@{entry.version} is in {place}; point an alias at it there")
