"""Prompts and demonstrations as JSON: one object a line, in files and on the worker's pipe.

Standard library only: the confined worker process imports this too. A line of a prompt file is
``{"id": ..., "messages": [{"role": ..., "content": ...}, ...], "task": {...}}``, a line of a
demonstration file ``{"messages": [...], "turns": [{"role": "assistant", "content": ...}, ...]}``.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tasks.rollout.environment import Demonstration, Json, Message, Prompt, Turn
from tasks.rollout.foreign import cut, shown

ROLES = ("system", "user", "assistant", "tool")
_NUM_SHOWN = 3
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape that may be half a character (a surrogate); a matching pair is one character."""

Parsed = TypeVar("Parsed")


class PromptError(ValueError):
    """A prompt or demonstration that cannot be used; says which, why and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(cut(message))


def prompt_to_json(prompt: Prompt) -> dict[str, Json]:
    """Return a prompt as the object of one line."""
    return {
        "id": prompt.id,
        "messages": [{"role": m.role, "content": m.content} for m in prompt.messages],
        "task": dict(prompt.task),
        **_mode_to_json(prompt.mode),
    }


def prompt_from_json(value: object) -> Prompt:
    """Return the prompt of a parsed line; PromptError names the field that is wrong."""
    fields = _fields(value, required=("id", "messages"), optional=("task", "mode"))
    identifier = fields["id"]
    if not isinstance(identifier, str) or not identifier:
        raise PromptError(f"field 'id' is {shown(identifier)}: give each prompt a unique text")
    task = fields.get("task", {})
    if not isinstance(task, dict):
        raise PromptError(f"field 'task' is a {type(task).__name__}: it must be a JSON object")
    return Prompt(identifier, _question(fields["messages"]), task, _mode(fields))


def demonstration_to_json(demonstration: Demonstration) -> dict[str, Json]:
    """Return a demonstration as the object of one line."""
    return {
        "messages": [{"role": m.role, "content": m.content} for m in demonstration.messages],
        "turns": [{"role": t.role, "content": t.content} for t in demonstration.turns],
        **_mode_to_json(demonstration.mode),
    }


def demonstration_from_json(value: object) -> Demonstration:
    """Return the demonstration of a parsed line; PromptError names the field that is wrong."""
    fields = _fields(value, required=("messages", "turns"), optional=("mode",))
    turns = _turns(fields["turns"])
    return Demonstration(_question(fields["messages"]), turns, _mode(fields))


def _mode_to_json(mode: str) -> dict[str, Json]:
    return {"mode": mode} if mode else {}


def _mode(fields: Mapping[str, object]) -> str:
    mode = fields.get("mode", "")
    if not isinstance(mode, str):
        raise PromptError(f"field 'mode' is {shown(mode)}: give a word such as on, off or high")
    return mode


def parse_json(text: str) -> object:
    """Return the value of strict JSON.

    Raises:
        PromptError: for NaN, infinities, bad or too deep JSON, numbers of thousands of digits, and
            text that is not Unicode.
    """
    try:
        value: object = json.loads(text, parse_constant=_refuse_constant)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise PromptError(f"not JSON ({error.msg} at column {error.colno})") from error
    except RecursionError as error:
        raise PromptError("nested too deeply to be read") from error
    except UnicodeEncodeError as error:
        raise PromptError(f"text that is not Unicode ({error.reason})") from error
    except PromptError:
        raise
    except ValueError as error:
        raise PromptError(f"a number that cannot be read ({error})") from error
    return value


def read_prompts(path: Path) -> list[Prompt]:
    """Return the prompts of a JSONL file, in order.

    Raises:
        PromptError: the file is empty, a line is not a prompt, or an id comes twice; names the
            file and the line.
    """
    prompts = _read(path, prompt_from_json)
    first_line: dict[str, int] = {}
    for line, prompt in prompts:
        if prompt.id in first_line:
            raise PromptError(
                f"{path}, line {line}: id {prompt.id!r} was used on line {first_line[prompt.id]}: "
                "scores are kept by id, so give each prompt its own"
            )
        first_line[prompt.id] = line
    return [prompt for _, prompt in prompts]


def write_prompts(path: Path, prompts: Iterable[Prompt]) -> None:
    """Write prompts as JSONL, whole or not at all; refuses what ``read_prompts`` would refuse."""
    written = list(prompts)
    refuse_repeated_ids(written)
    for prompt in written:
        prompt_from_json(prompt_to_json(prompt))
    _write(path, [prompt_to_json(prompt) for prompt in written])


def read_demonstrations(path: Path) -> list[Demonstration]:
    """Return the demonstrations of a JSONL file, in order; PromptError as ``read_prompts``."""
    return [demonstration for _, demonstration in _read(path, demonstration_from_json)]


def write_demonstrations(path: Path, demonstrations: Iterable[Demonstration]) -> None:
    """Write demonstrations as JSONL, whole or not at all."""
    rows = [demonstration_to_json(demonstration) for demonstration in demonstrations]
    for row in rows:
        demonstration_from_json(row)
    _write(path, rows)


def refuse_repeated_ids(prompts: Iterable[Prompt]) -> None:
    """Raise PromptError if two prompts share an id."""
    seen: set[str] = set()
    for prompt in prompts:
        if prompt.id in seen:
            raise PromptError(
                f"prompt id {prompt.id!r} occurs twice: scores are kept by id, so give each "
                "prompt its own"
            )
        seen.add(prompt.id)


def refuse_overlap(training: Sequence[Prompt], evaluation: Sequence[Prompt]) -> None:
    """Raise PromptError if the model would be evaluated on a prompt that it was trained on.

    Two prompts are the same when all their messages are, roles included and white space apart:
    the same question under another system prompt is another prompt. Ids do not matter.
    """
    trained = {_content(prompt): prompt.id for prompt in training}
    shared = [(trained[key], p.id) for p in evaluation if (key := _content(p)) in trained]
    if shared:
        shown = ", ".join(f"{left!r} = {right!r}" for left, right in shared[:_NUM_SHOWN])
        raise PromptError(
            f"{len(shared)} of {len(evaluation)} evaluation prompts are training prompts too "
            f"({shown}{', ...' if len(shared) > _NUM_SHOWN else ''}): a score on them is not a "
            "score on new prompts. Generate disjoint splits, or remove these prompts"
        )


def _content(prompt: Prompt) -> tuple[tuple[str, str], ...]:
    return tuple((m.role, " ".join(m.content.split())) for m in prompt.messages)


def _read(path: Path, parse: Callable[[object], Parsed]) -> list[tuple[int, Parsed]]:
    rows = [
        (line, _parsed(path, line, data, parse))
        for line, data in enumerate(_lines(path), start=1)
        if data.strip()
    ]
    if not rows:
        raise PromptError(f"{path} is empty: write at least one JSON object, one per line")
    return rows


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for number, line in enumerate(file):
            # Editors on Windows put a byte order mark before the first line.
            yield line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line


def _parsed(path: Path, line: int, data: bytes, parse: Callable[[object], Parsed]) -> Parsed:
    try:
        return parse(parse_json(data.decode("utf-8")))
    except UnicodeDecodeError as error:
        raise PromptError(
            f"{path}, line {line}: not UTF-8 ({error.reason} at byte {error.start}): save the "
            "file as UTF-8"
        ) from error
    except PromptError as error:
        raise PromptError(f"{path}, line {line}: {error}") from error


def _write(path: Path, rows: Sequence[Mapping[str, Json]]) -> None:
    if not rows:
        raise PromptError(
            f"the list of rows for {path} is empty: an empty file cannot be read back, so give at "
            "least one row"
        )
    text = "".join(_line(row) for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _line(row: Mapping[str, Json]) -> str:
    try:
        text = json.dumps(row, sort_keys=True, allow_nan=False)
        if _SURROGATE.search(text):
            json.dumps(row, ensure_ascii=False).encode()
        return text + "\n"
    except (TypeError, ValueError) as error:
        raise PromptError(
            f"prompt {row.get('id', '')!r} holds a value outside JSON ({error}): use null, "
            "booleans, finite numbers, text, lists and objects with text keys"
        ) from error


def _refuse_constant(name: str) -> object:
    raise PromptError(f"{name} is not a JSON number: write null or a finite number")


def _fields(
    value: object, *, required: tuple[str, ...], optional: tuple[str, ...]
) -> dict[str, object]:
    if not isinstance(value, dict):
        raise PromptError(f"a {type(value).__name__}: each line must be one JSON object")
    missing = [name for name in required if name not in value]
    if missing:
        raise PromptError(f"field {missing[0]!r} is missing: a line has {', '.join(required)}")
    # A misspelt 'task' would otherwise leave the grader without its answer.
    unknown = sorted(set(value) - set(required) - set(optional))
    if unknown:
        known = ", ".join(required + optional)
        raise PromptError(
            f"unknown field {unknown[0]!r}: a line has {known}; put other data into 'task'"
        )
    return value


def _question(value: object) -> tuple[Message, ...]:
    messages = tuple(Message(*pair) for pair in _pairs(value, "messages", ROLES))
    if messages[-1].role != "user" or not messages[-1].content.strip():
        raise PromptError(
            f"the last message is {messages[-1].role!r} {messages[-1].content[:40]!r}: the model "
            "answers a user, so end with a non-empty user message"
        )
    return messages


def _turns(value: object) -> tuple[Turn, ...]:
    pairs = _pairs(value, "turns", ("assistant", "tool"))
    if pairs[0][0] != "assistant" or pairs[-1][0] != "assistant":
        raise PromptError(
            f"turns go from {pairs[0][0]!r} to {pairs[-1][0]!r}: a demonstration must start and "
            "end with the model's turns, role 'assistant'"
        )
    return tuple(Turn("tool" if role == "tool" else "assistant", text) for role, text in pairs)


def _pairs(value: object, name: str, roles: tuple[str, ...]) -> list[tuple[str, str]]:
    if not isinstance(value, list) or not value:
        raise PromptError(f"field {name!r} must be a list with at least one entry")
    return [_pair(entry, f"{name}[{index}]", roles) for index, entry in enumerate(value)]


def _pair(value: object, name: str, roles: tuple[str, ...]) -> tuple[str, str]:
    if not isinstance(value, dict) or set(value) != {"role", "content"}:
        raise PromptError(f"{name} must be an object with 'role' and 'content' and nothing else")
    role, content = value["role"], value["content"]
    if role not in roles:
        raise PromptError(f"{name} has role {shown(role)}: choose from {', '.join(roles)}")
    if not isinstance(content, str):
        raise PromptError(f"{name} has a {type(content).__name__} as content: it must be text")
    return role, content
