"""Prompts and demonstrations as JSON: one object a line, in files and on the worker's pipe.

A message may have images, ``{"role": ..., "content": ..., "images": [PNG as base64, ...]}``. They
are a part of the line, so the digest of a data set covers them.

Standard library only: the confined worker process imports this too. A line of a prompt file is
``{"id": ..., "messages": [{"role": ..., "content": ...}, ...], "task": {...}}``, a line of a
demonstration file ``{"messages": [...], "turns": [{"role": "assistant", "content": ...}, ...]}``.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tasks.rollout.environment import Demonstration, Json, Message, Prompt, Turn
from tasks.rollout.foreign import shown
from tasks.rollout.json_lines import PromptError, fields_of, pairs_of, read_rows, write_rows

ROLES = ("system", "user", "assistant", "tool")
_NUM_SHOWN = 3
_PNG = b"\x89PNG\r\n\x1a\n"
MAX_IMAGE = 1 << 20
"""Most characters of an image: a megabyte holds any that a model of usual size reads."""


def prompt_to_json(prompt: Prompt) -> dict[str, Json]:
    """Return a prompt as the object of one line."""
    return {
        "id": prompt.id,
        "messages": [message_to_json(message) for message in prompt.messages],
        "task": dict(prompt.task),
        **_mode_to_json(prompt.mode),
    }


def prompt_from_json(value: object) -> Prompt:
    """Return the prompt of a parsed line; PromptError names the field that is wrong."""
    fields = fields_of(value, required=("id", "messages"), optional=("task", "mode"))
    identifier = fields["id"]
    if not isinstance(identifier, str) or not identifier:
        raise PromptError(f"field 'id' is {shown(identifier)}: give each prompt a unique text")
    task = fields.get("task", {})
    if not isinstance(task, dict):
        raise PromptError(f"field 'task' is a {type(task).__name__}: it must be a JSON object")
    return Prompt(identifier, messages_from_json(fields["messages"]), task, mode_from_json(fields))


def demonstration_to_json(demonstration: Demonstration) -> dict[str, Json]:
    """Return a demonstration as the object of one line."""
    return {
        "messages": [message_to_json(message) for message in demonstration.messages],
        "turns": [{"role": t.role, "content": t.content} for t in demonstration.turns],
        **_mode_to_json(demonstration.mode),
    }


def demonstration_from_json(value: object) -> Demonstration:
    """Return the demonstration of a parsed line; PromptError names the field that is wrong."""
    fields = fields_of(value, required=("messages", "turns"), optional=("mode",))
    turns = turns_from_json(fields["turns"])
    return Demonstration(messages_from_json(fields["messages"]), turns, mode_from_json(fields))


def message_to_json(message: Message) -> dict[str, Json]:
    """Return a message as an object, with its images if it has any."""
    images: list[Json] = [*message.images]
    with_images: dict[str, Json] = {"images": images} if images else {}
    return {"role": message.role, "content": message.content, **with_images}


def _mode_to_json(mode: str) -> dict[str, Json]:
    return {"mode": mode} if mode else {}


def mode_from_json(fields: Mapping[str, object]) -> str:
    """Return the template mode of a row, "" without one."""
    mode = fields.get("mode", "")
    if not isinstance(mode, str):
        raise PromptError(f"field 'mode' is {shown(mode)}: give a word such as on, off or high")
    return mode


def read_prompts(path: Path) -> list[Prompt]:
    """Return the prompts of a JSONL file, in order.

    Raises:
        PromptError: the file is empty, a line is not a prompt, or an id comes twice; names the
            file and the line.
    """
    prompts = read_rows(path, prompt_from_json)
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
    write_rows(path, [prompt_to_json(prompt) for prompt in written])


def read_demonstrations(path: Path) -> list[Demonstration]:
    """Return the demonstrations of a JSONL file, in order; PromptError as ``read_prompts``."""
    return [demonstration for _, demonstration in read_rows(path, demonstration_from_json)]


def write_demonstrations(path: Path, demonstrations: Iterable[Demonstration]) -> None:
    """Write demonstrations as JSONL, whole or not at all."""
    rows = [demonstration_to_json(demonstration) for demonstration in demonstrations]
    for row in rows:
        demonstration_from_json(row)
    write_rows(path, rows)


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


def _content(prompt: Prompt) -> tuple[tuple[str, ...], ...]:
    return tuple((m.role, " ".join(m.content.split()), *m.images) for m in prompt.messages)


def messages_from_json(value: object) -> tuple[Message, ...]:
    """Return the messages of a prompt, which end with the user's."""
    images = [_images_of(entry) for entry in value] if isinstance(value, list) else []
    plain = [_without_images(entry) for entry in value] if isinstance(value, list) else value
    pairs = pairs_of(plain, "messages", ROLES)
    messages = tuple(Message(*pair, images=own) for pair, own in zip(pairs, images, strict=True))
    if messages[-1].role != "user" or not messages[-1].content.strip():
        raise PromptError(
            f"the last message is {messages[-1].role!r} {messages[-1].content[:40]!r}: the model "
            "answers a user, so end with a non-empty user message"
        )
    return messages


def _without_images(entry: object) -> object:
    if not isinstance(entry, dict):
        return entry
    return {name: value for name, value in entry.items() if name != "images"}


def _images_of(entry: object) -> tuple[str, ...]:
    """Return the images of a message; PromptError for anything but PNG files as base64."""
    given = entry.get("images", []) if isinstance(entry, dict) else []
    if not isinstance(given, list):
        raise PromptError(f"'images' is a {type(given).__name__}: give a list of PNG files")
    for image in given:
        if not isinstance(image, str) or not _is_png(image):
            raise PromptError(f"'images' holds {shown(image)}: give PNG files, each as base64 text")
        if len(image) > MAX_IMAGE:
            raise PromptError(
                f"an image has {len(image)} characters, and at most {MAX_IMAGE} are taken, because "
                "it is a part of its prompt's line: scale it to the size that the model reads"
            )
    return tuple(given)


def _is_png(image: str) -> bool:
    try:
        return base64.b64decode(image, validate=True).startswith(_PNG)
    except (binascii.Error, ValueError):
        return False


def turns_from_json(value: object) -> tuple[Turn, ...]:
    """Return the turns of a response, which start and end with the model's."""
    pairs = pairs_of(value, "turns", ("assistant", "tool"))
    if pairs[0][0] != "assistant" or pairs[-1][0] != "assistant":
        raise PromptError(
            f"turns go from {pairs[0][0]!r} to {pairs[-1][0]!r}: a demonstration must start and "
            "end with the model's turns, role 'assistant'"
        )
    return tuple(Turn("tool" if role == "tool" else "assistant", text) for role, text in pairs)
