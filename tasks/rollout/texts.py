"""Text for pre-training and mid-training as data sets of JSON lines, with source and license.

A document that holds an evaluation prompt is refused: a score on that prompt would say nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.contracts.refusal import RefusedError
from tasks.rollout.environment import Prompt
from tasks.rollout.foreign import shown
from tasks.rollout.json_lines import PromptError, fields_of, read_rows, write_rows

TEXT = "text"
"""Kind of an artifact that holds documents, and of the record that made it."""
_NUM_SHOWN = 3


@dataclass(frozen=True)
class TextDocument:
    """One document."""

    text: str
    source: str
    """Name of the source, by which mixtures weigh documents."""
    license: str
    """SPDX expression, or ``unknown``."""


def read_texts(path: Path) -> list[TextDocument]:
    """Return the documents of a file, in order; PromptError names the line that is wrong."""
    return [document for _, document in read_rows(path, _document)]


def write_texts(path: Path, documents: Iterable[TextDocument]) -> None:
    """Write documents, whole or not at all; refuses what ``read_texts`` would refuse."""
    rows = [vars(document) for document in documents]
    for row in rows:
        _document(row)
    write_rows(path, rows)


def _document(value: object) -> TextDocument:
    fields = fields_of(value, required=("text", "source", "license"), optional=())
    for name, content in fields.items():
        if not isinstance(content, str) or not content.strip():
            raise PromptError(f"field {name!r} is {shown(content)}: it must be a text")
    return TextDocument(**{name: str(content) for name, content in fields.items()})


def refuse_evaluated(documents: Sequence[TextDocument], evaluation: Iterable[Prompt]) -> None:
    """Refuse documents that hold the question of an evaluation prompt, case and spacing apart.

    Raises:
        RefusedError: ``evaluated-text``, with documents and prompts.
    """
    # A question about an image is another one without it.
    questions = {
        prompt.id: _words(prompt.messages[-1].content)
        for prompt in evaluation
        if not prompt.messages[-1].images
    }
    found = [
        f"document {number} holds {name!r}"
        for number, document in enumerate(documents, 1)
        for words in [_words(document.text)]
        for name, question in questions.items()
        if question in words
    ]
    if found:
        raise RefusedError(
            "evaluated-text",
            f"{len(found)} times a document holds an evaluation prompt "
            f"({'; '.join(found[:_NUM_SHOWN])}): a score on these prompts would say nothing of new "
            "ones. Remove the documents",
        )


def _words(text: str) -> str:
    """Return the words of a text between blanks, so that whole words are found."""
    return f" {' '.join(text.casefold().split())} "
