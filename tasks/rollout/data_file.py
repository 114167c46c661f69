"""A team's data file: questions with answers, read, checked line by line, and split.

Rows come from JSONL or Parquet. Which split a question belongs to is decided by the hash of its
normalized text, so the same question in other spacing or case is never in two splits.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.contracts.refusal import RefusedError
from tasks.rollout.environment import (
    SPLITS,
    Demonstration,
    Json,
    Message,
    Prompt,
    Split,
    Turn,
    split_of,
)
from tasks.rollout.json_lines import PromptError, parse_json
from tasks.rollout.prompts import prompt_from_json, write_demonstrations, write_prompts

PROMPT_COLUMNS = ("prompt", "question", "problem", "messages")
ANSWER_COLUMNS = ("answer", "solution", "final_answer", "expected_answer")
FINAL = "####"
"""What GSM8K and its kin write before the result; the text before it is the way to it."""
_NUM_SHOWN = 5
_LAST_POINT = re.compile(r"[\s.?!]+$")


@dataclass(frozen=True)
class DataRow:
    """One question with its answer."""

    file: str
    line: int
    """Line of a JSONL file, row of a Parquet file, counted from 1."""
    messages: tuple[Message, ...]
    answer: str
    """What the grader compares with."""
    worked: str
    """The answer as the file has it; the way to the result comes before ``####``."""

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.file}, line {self.line}"

    @property
    def key(self) -> str:
        """The question's text without case, spacing and a last mark."""
        return normalized(" ".join(message.content for message in self.messages))


@dataclass(frozen=True)
class DataColumns:
    """Names of the columns; "" takes the first of the usual names that the file has."""

    prompt: str = ""
    answer: str = ""


@dataclass(frozen=True)
class SplitRows:
    """Rows by split, without repetitions."""

    rows: Mapping[Split, Sequence[DataRow]]
    num_repeated: int
    """Number of rows that repeat a question with its answer, left out."""


def normalized(text: str) -> str:
    """Return a question's text as duplicates are found by."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return _LAST_POINT.sub("", " ".join(plain.split()))


def read_data(path: Path, columns: DataColumns) -> list[DataRow]:
    """Return the rows of a JSONL or Parquet file.

    Raises:
        RefusedError: ``no-data-file``, ``unknown-data-format``, ``missing-column``,
            ``bad-data-lines`` and ``empty-answer``; the last two list lines by number.
    """
    rows, bad = _raw(path)
    if not rows and not bad:
        raise RefusedError("bad-data-lines", f"{path} has no rows: give a file with questions")
    prompt = _column(path, rows, columns.prompt, PROMPT_COLUMNS, "--prompt-column")
    answer = _column(path, rows, columns.answer, ANSWER_COLUMNS, "--answer-column")
    found, empty = [], []
    for number, row in rows:
        worked = _text(row.get(answer))
        if not worked or not worked.rpartition(FINAL)[2].strip():
            empty.append((number, f"{answer!r} is empty"))
            continue
        try:
            messages = _messages(row.get(prompt), prompt)
        except PromptError as error:
            bad.append((number, str(error)))
            continue
        final = worked.rpartition(FINAL)[2].strip()
        found.append(DataRow(path.name, number, messages, final, worked))
    _refuse(path, "bad-data-lines", bad, "correct these lines or remove them")
    _refuse(
        path,
        "empty-answer",
        empty,
        "without an answer, every response is graded 0: complete or remove these lines",
    )
    return found


def split_rows(rows: Sequence[DataRow], evaluation: Sequence[DataRow] | None = None) -> SplitRows:
    """Return rows by split; a file of evaluation rows replaces those that the hash would choose.

    Raises:
        RefusedError: ``contradicting-answers`` for a question with two answers,
            ``leak-between-splits`` for a question in both files, ``too-few-rows`` for an empty
            split.
    """
    kept, first = _once(rows)
    held, _ = _once(evaluation or [])
    leaks = [(first[row.key], row.place) for row in held if row.key in first]
    if leaks:
        shown = "; ".join(f"{left} = {right}" for left, right in leaks[:_NUM_SHOWN])
        raise RefusedError(
            "leak-between-splits",
            f"{len(leaks)} evaluation questions are training questions too, but for spacing and "
            f"case: {shown}. A score on them says nothing about new questions: remove them from "
            "one of the files",
        )
    found: dict[Split, list[DataRow]] = {split: [] for split in SPLITS}
    for row in kept:
        split = split_of(row.key)
        found["train" if evaluation and split == "evaluation" else split].append(row)
    found["evaluation"] += held
    lacking = [split for split in SPLITS if not found[split]]
    if lacking:
        raise RefusedError(
            "too-few-rows",
            f"{len(kept)} different questions leave none for {' and '.join(lacking)} (80 % train, "
            "10 % validation, 10 % evaluation): give at least a hundred, better two thousand",
        )
    return SplitRows(found, len(rows) + len(evaluation or []) - len(kept) - len(held))


def write_data(folder: Path, split: SplitRows, system: str = "") -> None:
    """Write ``prompts/`` of a bundle: a file for each split, and demonstrations of train.

    The id of a prompt ends with the line that it comes from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lead = (Message("system", system),) if system else ()
    for name, rows in split.rows.items():
        write_prompts(
            folder / f"{name}.jsonl",
            [
                Prompt(f"{name}-{row.line}", (*lead, *row.messages), {"answer": row.answer})
                for row in rows
            ],
        )
    write_demonstrations(
        folder / "demonstrations.jsonl",
        [
            Demonstration((*lead, *row.messages), (Turn("assistant", row.worked),))
            for row in split.rows["train"]
        ],
    )


def _once(rows: Iterable[DataRow]) -> tuple[list[DataRow], dict[str, str]]:
    """Return the first row of each question, and its place by the question."""
    first: dict[str, DataRow] = {}
    for row in rows:
        known = first.setdefault(row.key, row)
        if normalized(known.answer) != normalized(row.answer):
            raise RefusedError(
                "contradicting-answers",
                f"{known.place} and {row.place} ask the same question and answer {known.answer!r} "
                f"and {row.answer!r}: a grader knows one answer; correct or remove one",
            )
    return list(first.values()), {key: row.place for key, row in first.items()}


def _raw(path: Path) -> tuple[list[tuple[int, dict[str, object]]], list[tuple[int, str]]]:
    """Return the rows by line number, and what is wrong with the other lines."""
    if not path.is_file():
        raise RefusedError("no-data-file", f"{path} is not a file: give a JSONL or Parquet file")
    if path.suffix == ".parquet":
        return list(enumerate(_parquet(path), 1)), []
    if path.suffix not in {".jsonl", ".ndjson", ".json"}:
        raise RefusedError(
            "unknown-data-format",
            f"{path.name} ends in {path.suffix or 'nothing'}: give .jsonl, one JSON object a line, "
            "or .parquet",
        )
    rows: list[tuple[int, dict[str, object]]] = []
    bad: list[tuple[int, str]] = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except (PromptError, UnicodeDecodeError) as error:
            bad.append((number, str(error)))
            continue
        if isinstance(row, dict):
            rows.append((number, row))
        else:
            bad.append((number, f"a {type(row).__name__} instead of an object"))
    return rows, bad


def _parquet(path: Path) -> Iterator[dict[str, object]]:
    import pyarrow  # noqa: PLC0415 - large, and JSONL needs none of it
    from pyarrow import parquet  # noqa: PLC0415

    try:
        table = parquet.ParquetFile(path)
        for batch in table.iter_batches():
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise RefusedError(
            "unknown-data-format", f"{path.name} is not a readable Parquet file ({error})"
        ) from error


def _column(
    path: Path,
    rows: Sequence[tuple[int, Mapping[str, object]]],
    wanted: str,
    usual: Sequence[str],
    option: str,
) -> str:
    present = list(dict.fromkeys(name for _, row in rows for name in row))
    names = [wanted] if wanted else [name for name in usual if name in present][:1]
    if not rows or (names and names[0] in present):
        return names[0] if names else usual[0]
    looked = repr(wanted) if wanted else f"any of {', '.join(usual)}"
    raise RefusedError(
        "missing-column",
        f"{path.name} has no column {looked}: its columns are {', '.join(present)}; name one with "
        f"{option}",
    )


def _messages(value: object, column: str) -> tuple[Message, ...]:
    """Return a question: a text, or a list of chat messages that ends with the user's."""
    if isinstance(value, str):
        if not value.strip():
            raise PromptError(f"{column!r} is empty")
        return (Message("user", value.strip()),)
    return prompt_from_json({"id": "row", "messages": value}).messages


def _text(value: object) -> str:
    """Return an answer as text: numbers as JSON writes them."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    number: Json = int(value) if isinstance(value, float) and value.is_integer() else value
    return json.dumps(number)


def _refuse(path: Path, code: str, found: Sequence[tuple[int, str]], cure: str) -> None:
    if not found:
        return
    shown = "; ".join(f"line {number}: {what}" for number, what in found[:_NUM_SHOWN])
    more = f", and {len(found) - _NUM_SHOWN} more" if len(found) > _NUM_SHOWN else ""
    raise RefusedError(
        code, f"{path.name}: {len(found)} lines cannot be used: {shown}{more}: {cure}"
    )
