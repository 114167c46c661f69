"""Prompts and demonstrations as JSON: one object a line, in files and on the worker's pipe.

Standard library only: the confined worker process imports this too. A line of a prompt file is
``{"id": ..., "messages": [{"role": ..., "content": ...}, ...], "task": {...}}``, a line of a
demonstration file ``{"messages": [...], "turns": [{"role": "assistant", "content": ...}, ...]}``.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tasks.rollout.environment import Demonstration, Json, Message, Prompt, Turn
from tasks.rollout.foreign import shown
from tasks.rollout.json_lines import PromptError, fields_of, pairs_of, read_rows, write_rows

ROLES = ("system", "user", "assistant", "tool")
_NUM_SHOWN = 3


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
        "messages": [{"role": m.role, "content": m.content} for m in demonstration.messages],
        "turns": [{"role": t.role, "content": t.content} for t in demonstration.turns],
        **_mode_to_json(demonstration.mode),
    }


def demonstration_from_json(value: object) -> Demonstration:
    """Return the demonstration of a parsed line; PromptError names the field that is wrong."""
    fields = fields_of(value, required=("messages", "turns"), optional=("mode",))
    turns = turns_from_json(fields["turns"])
    return Demonstration(messages_from_json(fields["messages"]), turns, mode_from_json(fields))


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


def _content(prompt: Prompt) -> tuple[tuple[str, str], ...]:
    return tuple((m.role, " ".join(m.content.split())) for m in prompt.messages)


def messages_from_json(value: object) -> tuple[Message, ...]:
    """Return the messages of a prompt, which end with the user's."""
    messages = tuple(Message(*pair) for pair in pairs_of(value, "messages", ROLES))
    if messages[-1].role != "user" or not messages[-1].content.strip():
        raise PromptError(
            f"the last message is {messages[-1].role!r} {messages[-1].content[:40]!r}: the model "
            "answers a user, so end with a non-empty user message"
        )
    return messages


def turns_from_json(value: object) -> tuple[Turn, ...]:
    """Return the turns of a response, which start and end with the model's."""
    pairs = pairs_of(value, "turns", ("assistant", "tool"))
    if pairs[0][0] != "assistant" or pairs[-1][0] != "assistant":
        raise PromptError(
            f"turns go from {pairs[0][0]!r} to {pairs[-1][0]!r}: a demonstration must start and "
            "end with the model's turns, role 'assistant'"
        )
    return tuple(Turn("tool" if role == "tool" else "assistant", text) for role, text in pairs)
