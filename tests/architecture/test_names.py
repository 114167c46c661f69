"""A name means one thing: no class is defined twice, and no two modules differ by a plural."""

import ast
from collections import defaultdict

from tests.support.project_files import package_files, relative, syntax_tree

# Names that are defined twice for now; add none.
ALLOWED: set[str] = set()


def defined_twice():
    places = defaultdict(set)
    for file in package_files():
        for node in syntax_tree(file).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].add(relative(file))
    return {name: sorted(files) for name, files in places.items() if len(files) > 1}


def test_no_class_name_is_defined_twice():
    assert {name: at for name, at in defined_twice().items() if name not in ALLOWED} == {}


# Each is the name of a command.
PLURALS = {"workflows/commands/runs.py"}


def plurals():
    files = {relative(file) for file in package_files()}
    return {file for file in files if file.removesuffix("s.py") + ".py" in files - {file}}


def test_no_two_modules_of_a_package_differ_by_a_plural_alone():
    assert plurals() - PLURALS == set()


def test_the_exceptions_are_still_plurals():
    assert plurals() >= PLURALS
