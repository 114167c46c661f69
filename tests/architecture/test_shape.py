"""Files and functions stay small enough to read at one sitting."""

import ast

from tests.support.project_files import (
    PACKAGES,
    ROOT,
    files_of_benchmarks,
    files_of_tests,
    package_files,
    relative,
    syntax_tree,
)

MOST_LINES_OF_A_FILE = 300
MOST_LINES_OF_A_FUNCTION = 60

# A path, or path::function, with the reason beside it. Keep it short; it began empty.
ALLOWED: dict[str, str] = {}


def functions(file):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return (node for node in ast.walk(syntax_tree(file)) if isinstance(node, kinds))


def long_files():
    for file in [*package_files(), *files_of_benchmarks(), *files_of_tests()]:
        lines = len(file.read_text().splitlines())
        if lines > MOST_LINES_OF_A_FILE:
            yield relative(file), lines


def docstring_lines(node):
    """What is said of each argument, which a launch form shows, is not what makes it long."""
    said = node.body[0] if ast.get_docstring(node) is not None else None
    return said.end_lineno - said.lineno + 1 if said else 0


def long_functions():
    for file in [*package_files(), *files_of_benchmarks(), *files_of_tests()]:
        for node in functions(file):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines(node)
            if lines > MOST_LINES_OF_A_FUNCTION:
                yield f"{relative(file)}::{node.name}", lines


def test_files_are_short():
    assert {name: lines for name, lines in long_files() if name not in ALLOWED} == {}


def test_functions_are_short():
    assert {name: lines for name, lines in long_functions() if name not in ALLOWED} == {}


def test_the_allowlist_holds_only_entries_that_are_still_needed():
    needed = {name for name, _ in (*long_files(), *long_functions())}
    assert set(ALLOWED) <= needed


def test_every_folder_of_a_package_is_a_package():
    folders = {file.parent for file in package_files()}
    assert [relative(f) for f in sorted(folders) if not (f / "__init__.py").is_file()] == []


def test_no_package_folder_is_empty():
    inits = (file for name in PACKAGES for file in (ROOT / name).glob("*/**/__init__.py"))
    empty = [relative(file.parent) for file in inits if len(list(file.parent.iterdir())) == 1]
    assert empty == []


def test_modules_say_what_they_are_for():
    files = [*package_files(), *files_of_benchmarks()]
    silent = [relative(file) for file in files if not says_something(file)]
    assert silent == []


def says_something(file):
    has_code = bool(file.read_text().strip())
    return not has_code or ast.get_docstring(syntax_tree(file)) is not None
