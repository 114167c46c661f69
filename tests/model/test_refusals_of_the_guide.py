"""The table of refusals in the guide is that of the code, and each refusal has a test."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.rollout.worker.bundle import ALLOWED
from tests.support.project_files import ROOT

GUIDES = ROOT / "docs" / "guides"
MODULES = (
    *(f"model/{name}" for name in ("bring_in", "hub", "files", "formats", "chat")),
    *(f"model/{name}" for name in ("control_tokens", "system_prompt", "architecture")),
    *(f"model/{name}" for name in ("adapter_merge", "trained_elsewhere", "log_probs")),
    *("sft/brought", "release/imported", "release/preflight", "rollout/fit", "rollout/room"),
    *("rl/external", "rl/external_settings"),
)
"""Modules whose refusals a person meets who brings a model, a teacher or a trainer."""
OF_A_CALLER = {"first-token"}
"""A mistake of code that asks for log-probabilities, which no input of a person makes."""


def codes_in(path: Path) -> Iterator[str]:
    """Yield the codes of a module's refusals."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        is_one = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "RefusedError"
        if is_one and isinstance(node.args[0], ast.Constant):
            yield node.args[0].value


def codes_of_the_table() -> list[str]:
    """Return the codes of the table, in its order."""
    page = (GUIDES / "your-own-model.md").read_text("utf-8")
    rows = page.partition("## What is refused")[2].splitlines()
    return [code for row in rows if row.startswith("| `") for code in re.findall(CODE, row[:200])]


CODE = r"`([a-z]+(?:-[a-z]+)+)`"
TABLE = codes_of_the_table()


def test_the_table_names_every_refusal_of_these_modules_once():
    raised = {code for name in MODULES for code in codes_in(ROOT / "tasks" / f"{name}.py")}
    assert sorted(TABLE) == sorted(raised - OF_A_CALLER)


@pytest.fixture(scope="module")
def expected():
    """Return the strings of all tests: codes that they expect are among them."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        found |= set(re.findall(r"\"([a-z]+(?:-[a-z]+)+)\"", path.read_text("utf-8")))
    return found


@pytest.mark.parametrize("code", TABLE)
def test_a_refusal_is_tested_by_its_code(expected, code):
    assert code in expected


@pytest.mark.parametrize("page", ["add-a-team.md", "troubleshooting.md"])
def test_the_guides_name_what_a_bundle_may_import_of_ours(page):
    [line] = [
        line
        for line in (GUIDES / page).read_text("utf-8").splitlines()
        if "`tasks.rollout.environment`" in line
    ]
    assert set(re.findall(r"`(tasks\.rollout\.[a-z]+)`", line)) == set(ALLOWED)
