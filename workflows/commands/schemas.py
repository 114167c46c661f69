"""The JSON schema of what each command prints with ``--json``.

``python -m workflows.commands.schemas docs/json`` writes one file for each command.
"""

import json
import sys
from pathlib import Path

from pydantic import JsonValue

from workflows.commands.answers import ANSWERS
from workflows.commands.documents import DOCUMENTS

EVERY = {**DOCUMENTS, **ANSWERS}
"""JSON document by command."""


def schema_of(command: str) -> dict[str, JsonValue]:
    """Return the schema of a command's document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **EVERY[command].model_json_schema(mode="serialization"),
        "title": f"provost {command} --json",
    }


def file_of(command: str) -> str:
    """Return the name of a command's schema."""
    return f"{command.replace(' --', '-').replace(' ', '-')}.schema.json"


def write(folder: Path) -> None:
    """Write the schemas of all commands into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for command in EVERY:
        text = json.dumps(schema_of(command), indent=1, sort_keys=True)
        (folder / file_of(command)).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
