"""A tiny team whose prompts are JSONL files."""

import json

from tests.support.tiny_faculty import write_team


def jsonl_team(root, package, **files):
    """Write a team whose prompts are JSONL files; ``files`` replace the text of some."""
    write_team(root, "shout", package=package)
    folder = root / package / "shout"
    (folder / "prompts.py").unlink()
    (folder / "prompts").mkdir()
    for split, count in (("train", 8), ("validation", 8), ("evaluation", 8)):
        rows = [
            {"id": f"{split}-{n}", "messages": [{"role": "user", "content": f"{split} {n}"}]}
            for n in range(count)
        ]
        write_rows(folder, split, rows)
    demonstration = {
        "messages": [{"role": "user", "content": "one"}],
        "turns": [{"role": "assistant", "content": "1"}],
    }
    write_rows(folder, "demonstrations", [demonstration] * 8)
    for name, text in files.items():
        (folder / "prompts" / f"{name}.jsonl").write_text(text)
    return folder / "prompts"


def write_rows(folder, name, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "prompts" / f"{name}.jsonl").write_text(text)
