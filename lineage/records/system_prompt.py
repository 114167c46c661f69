"""The system prompt that only a teacher sees, as an input of each record for which it was read."""

from lineage.digest import digest_bytes
from lineage.records.record import Derivation, Input
from lineage.store.store import Store

SYSTEM_PROMPT = "system_prompt"
"""Role of the input; its artifact is the text itself, in UTF-8."""


def system_prompt_inputs(text: str, name: str = "") -> tuple[Input, ...]:
    """Return the input for a system prompt, under the name of its teacher; () for none."""
    if not text:
        return ()
    return (Input(role=SYSTEM_PROMPT, artifact=digest_bytes(text.encode()), name=name),)


def read_system_prompts(made: Derivation) -> list[tuple[str, str]]:
    """Return the system prompts of a derivation: the name of each teacher, and its digest."""
    return sorted((i.name, i.artifact) for i in made.inputs if i.role == SYSTEM_PROMPT)


def named_system_prompt(text: str, name: str = "") -> list[tuple[str, str]]:
    """Return what ``read_system_prompts`` returns where this system prompt was read."""
    return [(item.name, item.artifact) for item in system_prompt_inputs(text, name)]


def store_system_prompt(store: Store, text: str) -> None:
    """Store a system prompt, so that each record that names it can be read."""
    if text:
        store.put_bytes(text.encode())
