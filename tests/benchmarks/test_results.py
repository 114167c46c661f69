"""Result files: whole, small, read back as they were."""

import gzip
import json

import pytest

from benchmarks.common.checkout import RESULTS, ROOT
from benchmarks.common.circumstances import facts
from benchmarks.common.results import as_text, load, write_whole

MOST_BYTES = 50_000
CONTENT = {"seeds": [0, 1], "figures": {"a": [{"b": 1.5, "c": None}], "text": "[ 1,\n 2 ]"}}
HELPERS = {"benchmarks.common.figures", "benchmarks.step.curves", "benchmarks.real.metered"}
"""A page's tables, and the child processes of ``benchmarks.step curve`` and ``benchmarks.real``."""


@pytest.mark.parametrize("name", ["figures.json", "rows.json.gz"])
def test_a_file_reads_back_as_it_was_and_leaves_no_part(tmp_path, name):
    path = tmp_path / "new" / name
    assert load(path, {"cases": {}}) == {"cases": {}}
    write_whole(path, CONTENT)
    first = path.read_bytes()
    assert load(path, {}) == CONTENT
    write_whole(path, CONTENT)
    assert path.read_bytes() == first
    assert [each.name for each in path.parent.iterdir()] == [name]


@pytest.mark.parametrize("word", ["--vllm=/somewhere/else/vllm", "/somewhere/else/vllm"])
def test_circumstances_name_no_folder_of_the_machine(word, monkeypatch):
    monkeypatch.setattr("sys.argv", ["benchmarks", word, "--home=runs/a"])
    command = facts()["command"]
    assert command.endswith(f"{word.replace('/somewhere/else/', '')} --home=runs/a")


def test_rows_are_compressed(tmp_path):
    write_whole(tmp_path / "rows.json.gz", CONTENT)
    assert json.loads(gzip.decompress((tmp_path / "rows.json.gz").read_bytes())) == CONTENT


def test_short_entries_take_one_line_and_long_ones_a_line_for_each_part():
    long = list(range(100, 140))
    text = as_text({"short": [1, {"a": 2}], "long": long, "no": {}})
    assert json.loads(text) == {"short": [1, {"a": 2}], "long": long, "no": {}}
    lines = text.splitlines()
    assert lines[:4] == ["{", ' "short": [1, {"a": 2}],', ' "long": [', "  100,"]
    assert lines[-2:] == [' "no": {}', "}"]


@pytest.mark.parametrize(
    "path",
    sorted([*RESULTS.glob("*.json"), *RESULTS.glob("real/*.json")]),
    ids=lambda path: path.name,
)
def test_a_summary_is_small(path):
    assert path.stat().st_size <= MOST_BYTES


def commands():
    for path in sorted((ROOT / "benchmarks").rglob("*.py")):
        if 'if __name__ == "__main__"' in path.read_text("utf-8"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts).removesuffix(".__main__")
            if name not in HELPERS | {"benchmarks.gate.cases"}:  # benchmarks.gate runs it
                yield name


def test_every_command_has_its_entry_with_cost_and_result():
    page = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:5]]
        for cells in (line.split("|") for line in page.splitlines())
        if len(cells) == 6 and "python -m" in cells[1]
    }
    assert sorted(rows) == sorted(f"`python -m {name}`" for name in commands())
    for question, cost, result in rows.values():
        assert question.endswith("?")
        assert cost
        assert "results/" in result
