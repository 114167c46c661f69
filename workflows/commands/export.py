"""``export``: a model as a folder for other people's tools."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lineage.store.store import open_store
from lineage.trust.author import key_at_hand
from workflows.commands.documents import Exported
from workflows.commands.output import as_json, complain, emit, say

if TYPE_CHECKING:
    from lineage.export.folder import ExportResult as Written
    from lineage.export.subject import Subject


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
