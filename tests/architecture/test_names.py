"""A class name means one thing: no two modules of the product define the same."""

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
