"""The summary at the end of every run, and ``show`` and ``weights``, which print it later."""

from collections.abc import Iterator

import click

from lineage.artifacts import Student
from lineage.export.subject import require_kind, subject_of
from lineage.store.store import open_store
from lineage.view.summary import Score, Summary, summary_of, weights_of
from tasks.platform.progress import format_seconds
from workflows.commands.documents import Weights
from workflows.commands.output import as_json, emit, say, tabulate


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
