"""Writes an export: a plain Hugging Face folder with its card and its history beside the weights.

The folder appears under its name when all of it is written.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from lineage.digest import canonical_json, digest_file
from lineage.dsse import SigningKey, sign
from lineage.errors import LineageError
from lineage.export.bom import write_bom
from lineage.export.card import card_of
from lineage.export.licenses import License, license_of
from lineage.export.openlineage import write_events
from lineage.export.statement import chain, release
from lineage.export.subject import Subject
from lineage.store.store import read_tree

CARD = "README.md"
BUNDLE = "provenance.intoto.jsonl"
"""The records of the model's history, each in a signed DSSE envelope, one a line."""


@dataclass(frozen=True)
class ExportResult:
    """What an export wrote."""

    folder: Path
    license: License
    files: tuple[str, ...]
    """Paths inside the folder, sorted."""


def export(subject: Subject, folder: Path, key: SigningKey, repository: str = "") -> ExportResult:
    """Write a model as a folder that ``from_pretrained`` loads, with its card and its history.

    Args:
        subject: The model.
        folder: A new or an empty one.
        key: The key that signs the history.
        repository: The code's https address; "" if unknown.

    Raises:
        LicenseConflictError: if the licenses of its parts forbid an export; nothing is written.
        LineageError: if the folder exists and is not empty.
    """
    terms = license_of(subject)
    with _appearing(folder) as unfinished:
        _copy_weights(subject, unfinished)
        (unfinished / CARD).write_text(card_of(subject, terms), encoding="utf-8")
        write_events(unfinished, subject.store, subject.family, repository)
        write_bom(unfinished, subject, terms)
        written = {name: digest_file(unfinished / name) for name in _files(unfinished)}
        whole = release(subject.name or subject.checkpoint.digest, written)
        told = [whole, *chain(subject.store, subject.family, repository)]
        write_bundle(unfinished, told, key)
    return ExportResult(folder, terms, tuple(sorted(_files(folder))))


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Give a folder to fill, which then appears as ``folder``; nothing is left where it fails."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LineageError(
            f"{folder} exists and is not empty: choose a new folder; an export is never mixed "
            "with other files"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        unfinished.chmod(0o755)
        yield unfinished
        unfinished.rename(folder)  # over an empty folder too
    except BaseException:
        shutil.rmtree(unfinished)
        raise


def _copy_weights(subject: Subject, folder: Path) -> None:
    """Copy the checkpoint's files; a card of its own gives way to ours."""
    source = subject.store.tree(subject.checkpoint.digest)
    for file in read_tree(subject.store, subject.checkpoint.digest).files:
        if file.path == CARD:
            continue
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file.path, target)


def _files(folder: Path) -> Iterator[str]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield (Path(parent) / name).relative_to(folder).as_posix()


def write_bundle(folder: Path, statements: Sequence[dict[str, JsonValue]], key: SigningKey) -> Path:
    """Write signed statements, one a line, and return the file."""
    file = folder / BUNDLE
    lines = [sign(canonical_json(statement), key).to_bytes() for statement in statements]
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    return file
