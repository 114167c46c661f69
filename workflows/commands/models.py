"""A stored model at the terminal: its summary, its weights, and its export as a folder.

The summary ends every run; ``show`` and ``weights`` print it later. ``export`` writes a folder for
other people's tools.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lineage.artifacts import Student
from lineage.export.subject import require_kind, subject_of
from lineage.store.store import open_store
from lineage.trust.author import key_at_hand
from lineage.view.summary import Score, Summary, left_out_lines, summary_of, weights_of
from tasks.platform.progress import format_seconds
from workflows.commands.documents import Exported, Weights
from workflows.commands.output import as_json, complain, emit, say, tabulate

if TYPE_CHECKING:
    from lineage.export.folder import ExportResult as Written
    from lineage.export.subject import Subject


def show_command(kind: str) -> click.Command:
    """Return the command that prints the run summary of a ``student`` or ``teacher`` again."""

    @click.command("show", help=f"Print the run summary of the {kind} REFERENCE.")
    @click.argument("reference")
    @as_json
    def show(reference: str, as_document: bool) -> None:
        store = open_store()
        require_kind(subject_of(store, reference, allow_recalled=True), kind)
        conclude(summary_of(store, reference), as_document)

    return show


@click.command()
@click.argument("reference")
@as_json
def weights(reference: str, as_document: bool) -> None:
    """Verify the weights of REFERENCE and print their Hugging Face folder and how to serve it."""
    store = open_store()
    subject = subject_of(store, reference)
    folder = weights_of(store, subject) or str(store.tree(subject.checkpoint.digest))
    model = subject.name.partition("@")[0] or "model"
    serve = f"vllm serve {folder} --served-model-name {model}"
    if as_document:
        emit(Weights(name=subject.name, folder=folder, serve=serve))
        return
    say(folder)
    say(f"Serve it, where vLLM is installed: {serve}")
    say("Use it in Python:")
    say("    from transformers import pipeline")
    say(f"    model = pipeline('text-generation', {folder!r})")
    say("    print(model([{'role': 'user', 'content': '...'}])[0]['generated_text'])")
    if isinstance(subject.manifest, Student):
        say(f"To export it with its model card: provost student export {subject.name} DIR")


def conclude(summary: Summary, as_document: bool = False) -> None:
    """Print the summary of a run, as text or JSON."""
    if as_document:
        emit(summary)
        return
    say()
    aliases = f"  ({', '.join(summary.aliases)})" if summary.aliases else ""
    say(f"{summary.name or summary.kind} is {summary.digest}{aliases}")
    if summary.scores:
        _tabulate(summary)
    for line in _lines(summary):
        say(line)


def _lines(summary: Summary) -> Iterator[str]:
    yield from left_out_lines(summary)
    yield f"verdict  {summary.verdict}"
    for warning in summary.warnings:
        yield f"WARNING  {warning}"
    for name, what in (
        ("record", summary.record),
        ("report", summary.report),
        ("weights", summary.weights),
    ):
        if what:
            yield f"{name:<8} {what}"
    if summary.seconds is not None:
        yield f"took     {format_seconds(summary.seconds)}"
    for command in summary.next:
        yield f"next     {command}"


def _tabulate(summary: Summary) -> None:
    others = list(dict.fromkeys(name for score in summary.scores for name in score.against))
    head = ("", summary.unit, *(name.replace("_", " ") for name in others))
    rows = [
        (score.what, _value(score), *(_number(score.against.get(name)) for name in others))
        for score in summary.scores
    ]
    tabulate(head, rows)


def _value(score: Score) -> str:
    span = f" ({score.low:.2f} to {score.high:.2f})" if None not in {score.low, score.high} else ""
    return f"{score.value:.2f}{span}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def export_command(kind: str) -> click.Command:
    """Return the command for a ``student``, a ``teacher``, or a ``model`` of any sort."""

    @click.command("export", help=f"Write the {kind} REFERENCE as a Hugging Face folder FOLDER.")
    @click.argument("reference")
    @click.argument("folder", type=click.Path(path_type=Path))
    @as_json
    def export(reference: str, folder: Path, as_document: bool) -> None:
        from lineage.export.folder import export as write
        from lineage.export.subject import require_kind, subject_of
        from tasks.platform.provenance import git_repository

        subject = subject_of(open_store(), reference)
        if kind != "model":
            require_kind(subject, kind)
        done = write(subject, folder, key_at_hand(), git_repository())
        if as_document:
            emit(_document(subject, done))
        else:
            _tell(subject, done)

    return export


def _tell(subject: "Subject", done: "Written") -> None:
    terms = done.license
    say(f"{subject.title} is in {done.folder}: {len(done.files)} files")
    say(f"license: {terms.id}" + (f" ({terms.name})" if terms.name else ""))
    for part in terms.parts:
        if not part.stated:
            complain(f"No license is recorded for {part.what}.")
    for what in subject.recalled:
        complain(f"WARNING: an ancestor was recalled: {what}")


def _document(subject: "Subject", done: "Written") -> Exported:
    return Exported(
        name=subject.name,
        checkpoint=subject.checkpoint.digest,
        folder=str(done.folder),
        license=done.license.id,
        license_name=done.license.name,
        recalled=list(subject.recalled),
        files=list(done.files),
    )
