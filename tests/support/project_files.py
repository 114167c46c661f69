"""The project's source files, as the architecture tests see them."""

import ast
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("workflows", "tasks", "lineage", "images")
TEAMS = ROOT / "workflows" / "teachers"
TESTBED = ROOT / "workflows" / "testbed"
"""The domains of the recipes, each of a team of its own too."""


def package_files():
    """Every module of the packages, sorted."""
    return sorted(file for name in PACKAGES for file in (ROOT / name).rglob("*.py"))


def files_of_benchmarks():
    """Every module of the benchmarks, sorted."""
    return sorted((ROOT / "benchmarks").rglob("*.py"))


def files_of_tests():
    """Every Python file of the tests, sorted."""
    return sorted((ROOT / "tests").rglob("*.py"))


def relative(file):
    """The path as a person writes it."""
    return file.relative_to(ROOT).as_posix()


def module_name(file):
    """The dotted name under which the file is imported."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def syntax_tree(file):
    """The file's syntax tree."""
    return ast.parse(file.read_text(), filename=str(file))


def imported_modules(file):
    """Yield (line, dotted module) for each import in the file, deferred ones and strings too."""
    for node in ast.walk(syntax_tree(file)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in {"import_module", "__import__", "importorskip"}:
                yield node.lineno, str(node.args[0].value)


def committed_files():
    """Every file that git tracks or would track; the test is skipped outside a checkout."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    files = (ROOT / name for name in listed.decode().split("\0") if name)
    return sorted(file for file in files if file.is_file())
